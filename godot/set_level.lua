-- ARGV: component, level, the greatest number of components. Tells all Godots, and answers all levels; or an error.
local levels = 'logger_config:levels'
if redis.call('HEXISTS', levels, ARGV[1]) == 0 and redis.call('HLEN', levels) >= tonumber(ARGV[3]) then
  return {err = 'LEVELS too many components have a level'}
end
redis.call('HSET', levels, ARGV[1], ARGV[2])
redis.call('PUBLISH', levels, ARGV[1])
return redis.call('HGETALL', levels)
