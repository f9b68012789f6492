-- The other side refused a request because there were too many: let nobody pass for a while, and
-- go on more slowly. Places that were taken and not used yet are void, so `e` counts on.
-- KEYS[1] as in pace.lua. ARGV: 1 microseconds, 2 the space asked for, 3 the widest space, 4 how
-- many times wider in one step, 5 microseconds in which further refusals are of the same old pace,
-- 6 how long the space is remembered (ms).
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local kept = redis.call('HMGET', KEYS[1], 'h', 'i', 'g')
local asked = tonumber(ARGV[2])
local space = math.max(tonumber(kept[2] or 0), asked)
local held = math.max(tonumber(kept[1] or 0), now + ARGV[1])
local time = function(value) return string.format('%.0f', value) end

-- Requests that were under way when the first was refused say nothing about the pace since then.
if now >= tonumber(kept[3] or 0) then
  space = math.max(math.min(space * ARGV[4], tonumber(ARGV[3])), asked)
  redis.call('HSET', KEYS[1], 'i', time(space), 'n', 0, 'c', time(now))
end
redis.call('HSET', KEYS[1], 'h', time(held), 'g', time(math.max(held, now + ARGV[5])))
redis.call('HDEL', KEYS[1], 'f')
redis.call('HINCRBY', KEYS[1], 'e', 1)
redis.call('PEXPIRE', KEYS[1], math.max(tonumber(ARGV[6]), math.ceil((held - now) / 1000) + 1000))
return 1
