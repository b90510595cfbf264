-- Announces a core and gives the living ones, in one call: a core that is stopped between two statements of a transaction
-- would keep the lock, and with it every other core from renewing its lease.
CREATE FUNCTION announce(core bigint, at_address text, may_write boolean, microseconds bigint)
RETURNS SETOF node LANGUAGE plpgsql AS $$
BEGIN
    -- A lease needs no disk.
    PERFORM set_config('synchronous_commit', 'off', true);
    -- One at a time: "nodes" as a number.
    PERFORM pg_advisory_xact_lock(x'6e6f646573'::bigint);
    DELETE FROM node WHERE ends_at <= clock_timestamp();
    INSERT INTO node (id, slot, address, writes, ends_at)
    SELECT core, s.slot, at_address, may_write, clock_timestamp() + microseconds * interval '1 microsecond'
    FROM (SELECT coalesce(
        (SELECT slot FROM node WHERE id = core),
        (SELECT min(free)::smallint FROM generate_series(0, 63) AS free WHERE free NOT IN (SELECT slot FROM node))
    ) AS slot) AS s
    WHERE s.slot IS NOT NULL
    ON CONFLICT (id) DO UPDATE
    SET address = excluded.address, writes = excluded.writes, ends_at = excluded.ends_at;
    RETURN QUERY SELECT * FROM node WHERE ends_at > clock_timestamp();
END
$$;
