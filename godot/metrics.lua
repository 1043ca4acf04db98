-- Answers: queued, leased, bytes of both, bytes on workers' disks, dead letters; and ever: dropped, stored, failed attempts
-- to send, dead, batches done, how long these took from their first claim (us), and members redacted by workers.
-- Redis has to take what is written, too. ARGV: 1 where it has refused that: an entry is pushed and taken back, as work
-- does. Else a batch that never is gives nothing, which Redis refuses as it would anything else.
-- Work: some fields for each worker name and each batch that is leased.
if ARGV[1] == '1' then
  redis.call('LPUSH', queue, '')
  redis.call('LPOP', queue)
  add('bytes', 0)
else
  redis.call('LMOVE', batch_key(0), queue, 'LEFT', 'LEFT')
end
redis.call('HEXISTS', 'logger_config:levels', '')
local _, live = leased()
local spooled, values = 0, redis.call('HGETALL', state)
local of = {}
for i = 1, #values, 2 do
  of[values[i]] = tonumber(values[i + 1])
  if string.find(values[i], '^spooled:') then spooled = spooled + values[i + 1] end
end
return {redis.call('LLEN', queue), live, of.bytes or 0, spooled, redis.call('LLEN', dead_letters),
        tonumber(redis.call('GET', 'logs:dropped') or 0), of.stored or 0, of.retried or 0, of.dead or 0, of.batches or 0,
        of.batch_us or 0, of.redacted or 0}
