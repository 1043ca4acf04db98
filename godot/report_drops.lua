-- Queues the line that names drops, unless there have been more since it was written.
-- ARGV: how many, the last, the line.
-- Work: one line.
local drops = redis.call('HMGET', state, 'unreported', 'last')
if drops[1] == ARGV[1] and drops[2] == ARGV[2] then
  redis.call('HDEL', state, 'unreported', 'first', 'last')
  redis.call('LPUSH', queue, ARGV[3])
  add('bytes', #ARGV[3])
end
return redis.status_reply('OK')
