-- Note a small fact once, and tell of it in the same step.
-- KEYS[1] the flags. ARGV: 1 prefix, 2 name, 3 value, 4 event JSON.
-- Returns 1 if it was not known before.
if redis.call('HSETNX', KEYS[1], ARGV[2], ARGV[3]) == 0 then return 0 end
redis.call('XADD', ARGV[1] .. 'events', '*', 'd', ARGV[4])
return 1
