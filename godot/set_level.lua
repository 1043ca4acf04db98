-- ARGV: component, level ("": none from now on), the greatest number of components. Tells all Godots, and answers all levels;
-- 0: so many have one already.
-- Work: all levels are answered: 10,000 components of 256 bytes.
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
