-- Pushes entries to the queue, and enforces its bounds.
-- ARGV: bounds of the queue (entries, bytes); then up to 1,000 entries, the oldest first.
-- Work: 8 MiB of entries, and the work of drop_queued().
local bytes = 0
for i = 3, #ARGV do bytes = bytes + #ARGV[i] end
redis.call('LPUSH', queue, unpack(ARGV, 3))
increment('bytes', bytes)
enforce_bounds(tonumber(ARGV[1]), tonumber(ARGV[2]))
return redis.status_reply('OK')
