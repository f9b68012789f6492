-- What became of a request. KEYS[1] as in breaker_ask.lua.
-- ARGV: 1 `ok` or `failed`, 2 failures that open it, 3 first pause and 4 longest, in milliseconds.
-- Returns 1 if this opened it, 2 if this closed it, else 0.
local limit = tonumber(ARGV[2])
if ARGV[1] == 'ok' then
  local failures = tonumber(redis.call('HGET', KEYS[1], 'n') or 0)
  redis.call('DEL', KEYS[1])
  return failures >= limit and 2 or 0
end
local failures = redis.call('HINCRBY', KEYS[1], 'n', 1)
redis.call('PEXPIRE', KEYS[1], ARGV[4] * 4)
if failures < limit then return 0 end
local pause = math.min(ARGV[3] * 2 ^ math.min(failures - limit, 30), tonumber(ARGV[4]))
local clock = redis.call('TIME')
local till = clock[1] * 1000 + math.floor(clock[2] / 1000) + pause
redis.call('HSET', KEYS[1], 't', string.format('%.0f', till))
return failures == limit and 1 or 0
