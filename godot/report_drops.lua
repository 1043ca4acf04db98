-- Queues a drop report, unless more entries were dropped since it was written.
-- ARGV: number of drops in the report, time of the last of them (us), the report.
-- Work: one entry.
local drops = redis.call('HMGET', state, 'unreported', 'last')
if drops[1] == ARGV[1] and drops[2] == ARGV[2] then
  redis.call('HDEL', state, 'unreported', 'first', 'last')
  redis.call('LPUSH', queue, ARGV[3])
  increment('bytes', #ARGV[3])
end
return redis.status_reply('OK')
