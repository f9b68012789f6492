-- Let nobody pass for a while: the other side said Retry-After.
-- KEYS[1] as in pace.lua. ARGV: 1 microseconds, 2 microseconds between two requests, 3 burst.
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local free = now + ARGV[1] + ARGV[2] * (ARGV[3] - 1)
free = math.max(free, tonumber(redis.call('GET', KEYS[1]) or 0))
redis.call('SET', KEYS[1], string.format('%.0f', free), 'PX', math.ceil((free - now) / 1000) + 1000)
return 1
