-- May a request go to an account that kept failing?
-- KEYS[1] hash: `n` failures in a row, `t` closed to requests until (milliseconds).
-- ARGV: 1 failures that open it, 2 milliseconds that a probe may take.
-- Returns 0 for yes, else the milliseconds to wait. After the wait one asker gets 0, as the probe.
local failures, till = unpack(redis.call('HMGET', KEYS[1], 'n', 't'))
if tonumber(failures or 0) < tonumber(ARGV[1]) then return 0 end
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
if now < tonumber(till or 0) then return till - now end
redis.call('HSET', KEYS[1], 't', string.format('%.0f', now + ARGV[2]))
return 0
