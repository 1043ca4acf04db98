-- Sets or removes the log level of a component, and publishes the change.
-- ARGV: component, level ("": remove it), greatest number of components with a level.
-- Returns all levels, or 0 if the greatest number is reached.
-- Work: all levels: 10,000 components of 256 bytes.
local levels = 'logger_config:levels'
if ARGV[2] == '' then
  redis.call('HDEL', levels, ARGV[1])
elseif redis.call('HEXISTS', levels, ARGV[1]) == 0 and redis.call('HLEN', levels) >= tonumber(ARGV[3]) then
  return 0
else
  redis.call('HSET', levels, ARGV[1], ARGV[2])
end
redis.call('PUBLISH', levels, ARGV[1])
return redis.call('HGETALL', levels)
