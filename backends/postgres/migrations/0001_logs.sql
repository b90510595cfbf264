-- The log model. Numbers are 64-bit patterns; `idempotency_id` is stored with its top bit flipped, so that the
-- signed order of the column is the unsigned order of the id. Texts compare byte by byte.

-- Every step updates its log's row in place.
CREATE TABLE log (
    id     bigint PRIMARY KEY,
    epoch  bigint NOT NULL,
    writer bigint NOT NULL,
    lsn    bigint NOT NULL,
    hlc    bigint NOT NULL,
    chain  bytea  NOT NULL
) WITH (fillfactor = 20);

-- `detached` is the operation with hashes in the place of bodies: bodies are in `entry` only.
CREATE TABLE operation (
    log      bigint NOT NULL,
    lsn      bigint NOT NULL,
    epoch    bigint NOT NULL,
    chain    bytea  NOT NULL,
    detached bytea  NOT NULL,
    PRIMARY KEY (log, lsn)
);

CREATE TABLE entry (
    log                bigint NOT NULL,
    conversation       text COLLATE "C" NOT NULL,
    seq                bigint NOT NULL,
    message_id         bigint NOT NULL,
    at                 bigint NOT NULL,
    idempotency_stream bigint,
    idempotency_id     bigint,
    header             bytea  NOT NULL,
    body               bytea,
    PRIMARY KEY (log, conversation, seq)
);

-- Not unique: the check is the writer's, which sees a resend before it makes an operation of it. A constraint here
-- would turn its slip into a step that can never be taken.
CREATE INDEX entry_by_idempotency ON entry (log, idempotency_stream, idempotency_id DESC)
    WHERE idempotency_stream IS NOT NULL;

CREATE TABLE object (
    log     bigint NOT NULL,
    kind    text COLLATE "C" NOT NULL,
    id      text COLLATE "C" NOT NULL,
    rank    bigint NOT NULL,
    version bigint NOT NULL,
    body    bytea  NOT NULL,
    PRIMARY KEY (log, kind, id)
);

CREATE INDEX object_by_rank ON object (log, kind, rank, id);

-- Positions are raised in place.
CREATE TABLE relation (
    log     bigint NOT NULL,
    kind    text COLLATE "C" NOT NULL,
    from_id text COLLATE "C" NOT NULL,
    to_id   text COLLATE "C" NOT NULL,
    rank    bigint NOT NULL,
    body    bytea  NOT NULL,
    PRIMARY KEY (log, kind, from_id, to_id)
) WITH (fillfactor = 80);

-- Leases of the cores of a region.
CREATE TABLE node (
    id      bigint PRIMARY KEY,
    slot    smallint NOT NULL UNIQUE,
    address text NOT NULL,
    writes  boolean NOT NULL,
    ends_at timestamptz NOT NULL
);

-- For people who look with psql; nothing reads them here. Views of groups come with groups.
CREATE VIEW users AS
    SELECT log >> 16 AS tenant, id AS name, to_timestamp(rank / 1000.0) AS created_at, version,
           (convert_from(body, 'UTF8')::jsonb ->> 'nickname') AS nickname,
           (convert_from(body, 'UTF8')::jsonb ->> 'activated')::boolean AS activated
    FROM object WHERE kind = 'user';

CREATE VIEW messages AS
    SELECT log >> 16 AS tenant, conversation, seq, message_id, to_timestamp(at / 1000.0) AS sent_at,
           length(body) AS body_bytes, body IS NULL AS erased
    FROM entry;
