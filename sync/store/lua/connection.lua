-- One change of an organisation's connection, whole or not at all.
-- KEYS[1] the connection. ARGV: 1 prefix, 2 expected version, 3 connection as JSON,
-- 4 token: '' keep, '-' erase, else the ciphertext, 5 event JSON or '', 6 audit JSON or ''
-- Returns the new version, or -1 if the connection is not at the expected version.
local prefix = ARGV[1]
local version = redis.call('HGET', KEYS[1], 'v') or '0'
if version ~= ARGV[2] then return -1 end
local next_version = tonumber(version) + 1
redis.call('HSET', KEYS[1], 'v', next_version, 'd', ARGV[3])
if ARGV[4] == '-' then
  redis.call('DEL', prefix .. 'token')
elseif ARGV[4] ~= '' then
  redis.call('SET', prefix .. 'token', ARGV[4])
end
if ARGV[5] ~= '' then redis.call('XADD', prefix .. 'events', '*', 'd', ARGV[5]) end
if ARGV[6] ~= '' then redis.call('XADD', prefix .. 'audit', '*', 'd', ARGV[6]) end
return next_version
