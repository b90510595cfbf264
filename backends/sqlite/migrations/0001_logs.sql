-- The log model. Numbers are 64-bit patterns; `idempotency_id` is stored with its top bit flipped, so that the
-- signed order of the column is the unsigned order of the id.

CREATE TABLE log (
    id     INTEGER PRIMARY KEY,
    epoch  INTEGER NOT NULL,
    writer INTEGER NOT NULL,
    lsn    INTEGER NOT NULL,
    hlc    INTEGER NOT NULL,
    chain  BLOB    NOT NULL
) STRICT;

-- `detached` is the operation with hashes in the place of bodies: bodies are in `entry` only.
CREATE TABLE operation (
    log      INTEGER NOT NULL,
    lsn      INTEGER NOT NULL,
    epoch    INTEGER NOT NULL,
    chain    BLOB    NOT NULL,
    detached BLOB    NOT NULL,
    PRIMARY KEY (log, lsn)
) STRICT, WITHOUT ROWID;

CREATE TABLE entry (
    log                INTEGER NOT NULL,
    conversation       TEXT    NOT NULL,
    seq                INTEGER NOT NULL,
    message_id         INTEGER NOT NULL,
    at                 INTEGER NOT NULL,
    idempotency_stream INTEGER,
    idempotency_id     INTEGER,
    header             BLOB    NOT NULL,
    body               BLOB,
    PRIMARY KEY (log, conversation, seq)
) STRICT, WITHOUT ROWID;

-- Not unique: the check is the writer's, which sees a resend before it makes an operation of it. A constraint here
-- would turn its slip into a step that can never be taken.
CREATE INDEX entry_by_idempotency ON entry (log, idempotency_stream, idempotency_id DESC)
    WHERE idempotency_stream IS NOT NULL;

CREATE TABLE object (
    log     INTEGER NOT NULL,
    kind    TEXT    NOT NULL,
    id      TEXT    NOT NULL,
    rank    INTEGER NOT NULL,
    version INTEGER NOT NULL,
    body    BLOB    NOT NULL,
    PRIMARY KEY (log, kind, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX object_by_rank ON object (log, kind, rank, id);

CREATE TABLE relation (
    log     INTEGER NOT NULL,
    kind    TEXT    NOT NULL,
    from_id TEXT    NOT NULL,
    to_id   TEXT    NOT NULL,
    rank    INTEGER NOT NULL,
    body    BLOB    NOT NULL,
    PRIMARY KEY (log, kind, from_id, to_id)
) STRICT, WITHOUT ROWID;

-- For people who look with the sqlite3 shell; nothing reads them here.
CREATE VIEW users AS
    SELECT log >> 16 AS tenant, id AS name, datetime(rank / 1000, 'unixepoch') AS created_at, version
    FROM object WHERE kind = 'user';

CREATE VIEW messages AS
    SELECT log >> 16 AS tenant, conversation, seq, message_id,
           datetime(at / 1000, 'unixepoch') AS sent_at, length(body) AS body_bytes, body IS NULL AS erased
    FROM entry;
