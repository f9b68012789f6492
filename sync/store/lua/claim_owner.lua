-- Take a sevDesk account for an organisation, if nobody else has it.
-- KEYS[1] the owner key, ARGV[1] the organisation. Returns the owner afterwards.
redis.call('SET', KEYS[1], ARGV[1], 'NX')
return redis.call('GET', KEYS[1])
