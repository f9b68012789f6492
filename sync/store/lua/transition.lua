-- One transition of one invoice record, whole or not at all.
-- KEYS[1] the record; every other key has the same prefix and so the same slot.
-- ARGV: 1 prefix, 2 invoice id, 3 expected version, 4 state, 5 run, 6 record as JSON,
--       7 state since (s), 8 due (s) or '', 9 number, 10 event JSON or '', 11 audit JSON or '',
--       12 the access point's id of it or '', 13 '1' if calls about that id are of use,
--       14 since when a person is to look at it though its state does not say
--       so (s) or ''
-- Returns the new version, or -1 if the record is not at the expected version, or would be new
-- to an organisation without a connection.
local prefix, id = ARGV[1], ARGV[2]
local old = redis.call('HMGET', KEYS[1], 'v', 's', 'r', 'n')
local version = old[1] or '0'
if version ~= ARGV[3] then return -1 end
-- Nothing begins for an organisation that was erased meanwhile.
if version == '0' and redis.call('EXISTS', prefix .. 'conn') == 0 then return -1 end

-- A run's keys expire (put_run); what changes an invoice of an old run must not bring them back
-- for ever.
local function fading(key)
  if redis.call('TTL', key) < 0 then redis.call('EXPIRE', key, 90 * 86400) end
end

local state, run = ARGV[4], ARGV[5]
local next_version = tonumber(version) + 1
redis.call('HSET', KEYS[1], 'v', next_version, 's', state, 'r', run, 'n', ARGV[9], 'd', ARGV[6])
redis.call('SADD', prefix .. 'invs', id)

if old[2] ~= state then
  if old[2] then redis.call('ZREM', prefix .. 'state:' .. old[2], id) end
  redis.call('ZADD', prefix .. 'state:' .. state, ARGV[7], id)
end
if old[2] ~= state or old[3] ~= run then
  if old[3] and old[3] ~= '' then
    redis.call('HINCRBY', prefix .. 'runc:' .. old[3], old[2], -1)
    fading(prefix .. 'runc:' .. old[3])
    if old[3] ~= run then redis.call('ZREM', prefix .. 'runi:' .. old[3], id) end
  end
  if run ~= '' then
    redis.call('HINCRBY', prefix .. 'runc:' .. run, state, 1)
    redis.call('ZADD', prefix .. 'runi:' .. run, 'NX', ARGV[7], id)
    fading(prefix .. 'runc:' .. run)
    fading(prefix .. 'runi:' .. run)
  end
end

if ARGV[8] == '' then
  redis.call('ZREM', prefix .. 'due', id)
else
  redis.call('ZADD', prefix .. 'due', ARGV[8], id)
end
if ARGV[12] ~= '' then
  if ARGV[13] == '1' then
    redis.call('HSET', prefix .. 'providers', ARGV[12], id)
  else
    redis.call('HDEL', prefix .. 'providers', ARGV[12])
  end
end
if ARGV[14] == '' then
  redis.call('ZREM', prefix .. 'noticed', id)
else
  redis.call('ZADD', prefix .. 'noticed', ARGV[14], id)
end
-- A number leads to the newest import that has it, not to the last one that changed; and not to one
-- that has another number by now.
local numbers, renamed = prefix .. 'numbers', old[4] and old[4] ~= ARGV[9]
if renamed and redis.call('HGET', numbers, old[4]) == id then
  redis.call('HDEL', numbers, old[4])
end
if ARGV[9] ~= ''
  and (version == '0' or renamed or redis.call('HEXISTS', numbers, ARGV[9]) == 0) then
  redis.call('HSET', numbers, ARGV[9], id)
end
if ARGV[10] ~= '' then redis.call('XADD', prefix .. 'events', '*', 'd', ARGV[10]) end
if ARGV[11] ~= '' then redis.call('XADD', prefix .. 'audit', '*', 'd', ARGV[11]) end
return next_version
