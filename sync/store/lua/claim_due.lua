-- Take some of the invoices for which something is due, so that no other worker looks at them
-- for a while. A transition writes the true time over it; a crash lets them become due again.
-- KEYS[1] the due set. ARGV: 1 now (s), 2 until when they are taken (s), 3 how many at most.
local ids = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])
for _, id in ipairs(ids) do redis.call('ZADD', KEYS[1], ARGV[2], id) end
return ids
