-- ARGV: greatest number of entries, of bytes; then up to 1,000 entries, the oldest first.
-- Work: 8 MiB of entries, and what drop_queued() drops.
local bytes = 0
for i = 3, #ARGV do bytes = bytes + #ARGV[i] end
redis.call('LPUSH', queue, unpack(ARGV, 3))
add('bytes', bytes)
enforce(tonumber(ARGV[1]), tonumber(ARGV[2]))
return redis.status_reply('OK')
