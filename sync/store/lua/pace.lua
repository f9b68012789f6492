-- Take the next free place in a stream of evenly spaced requests (GCRA).
-- KEYS[1] the time of the next free place. ARGV: 1 microseconds between two requests, 2 burst,
-- 3 the longest wait that is taken, in microseconds.
-- Returns the microseconds to wait; below zero: nothing was taken, the wait would be as long.
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local interval = tonumber(ARGV[1])
local free = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now)
local wait = math.max(free - interval * (ARGV[2] - 1) - now, 0)
if wait > tonumber(ARGV[3]) then return -math.ceil(wait) end
local after = string.format('%.0f', free + interval)
redis.call('SET', KEYS[1], after, 'PX', math.ceil((after - now) / 1000) + 1000)
return math.ceil(wait)
