-- What time it is here.
-- KEYS[1] a fixed key, which on a cluster chooses the node that is asked.
-- Returns seconds and microseconds since 1970, UTC, as texts.
return redis.call('TIME')
