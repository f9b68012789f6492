-- Tell an organisation of an outage of the store, unless it knows of it.
-- KEYS[1] the flags. ARGV: 1 prefix, 2 when it began (s), 3 when it ended (s), 4 event JSON.
-- Several processes saw the same outage, each with its own begin and end: what began before the
-- last known end is the same one. Returns 1 if it is told.
local known = tonumber(redis.call('HGET', KEYS[1], 'outage') or '0')
redis.call('HSET', KEYS[1], 'outage', string.format('%.3f', math.max(known, tonumber(ARGV[3]))))
if tonumber(ARGV[2]) <= known then return 0 end
redis.call('XADD', ARGV[1] .. 'events', '*', 'd', ARGV[4])
return 1
