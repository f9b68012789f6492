-- Take the next free place in a stream of evenly spaced requests (GCRA), as fast as the other
-- side bears it: hold.lua widens the space after a refusal, this narrows it again, step by step.
-- KEYS[1] hash: `f` the next free place, `h` nobody passes before, `i` the space in force where it
-- is wider than asked for, `n` places taken since it changed, `c` when it changed, `e` how often
-- all waiting places were made void. Times and spaces in microseconds.
-- ARGV: 1 space between two requests, 2 burst, 3 the longest wait that is taken, 4 how long and
-- 5 for how many places a space is kept before it is narrowed, 6 how long it is remembered (ms).
-- Returns the microseconds to wait and `e`. Below zero: nothing was taken, the wait would be as
-- long.
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local kept = redis.call('HMGET', KEYS[1], 'f', 'h', 'i', 'n', 'c', 'e')
local asked, held = tonumber(ARGV[1]), tonumber(kept[2] or 0)
local space, taken = math.max(tonumber(kept[3] or 0), asked), tonumber(kept[4] or 0)
local changed, epoch = tonumber(kept[5] or 0), tonumber(kept[6] or 0)

if space > asked and taken >= tonumber(ARGV[5]) and now - changed >= tonumber(ARGV[4]) then
  -- One twentieth of the full rate more.
  space = math.max(1 / (1 / space + 1 / (20 * asked)), asked)
  taken, changed = 0, now
end
local slowed = space > asked
local early = slowed and 0 or space * (ARGV[2] - 1)

local free = math.max(tonumber(kept[1] or 0), held, now)
local wait = math.ceil(math.max(free - early, held, now) - now)
if wait > tonumber(ARGV[3]) then return {-wait, epoch} end

local after = free + space
redis.call('HSET', KEYS[1], 'f', string.format('%.0f', after))
if slowed then
  redis.call('HSET', KEYS[1], 'i', string.format('%.0f', space), 'n', taken + 1,
    'c', string.format('%.0f', changed))
  redis.call('PEXPIRE', KEYS[1], ARGV[6])
else
  redis.call('HDEL', KEYS[1], 'i', 'n', 'c')
  redis.call('PEXPIRE', KEYS[1], math.ceil((after - now) / 1000) + 1000)
end
return {wait, epoch}
