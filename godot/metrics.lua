-- Reads the metrics, and tests whether Redis accepts writes.
-- ARGV: 1 if Redis has refused a write: an entry is then pushed and popped again, as in normal operation. Otherwise an
-- entry is moved from a batch that does not exist, which changes nothing, but is refused if writes are.
-- Returns queued entries, leased entries, bytes of both, bytes in the workers' spools, dead letters; and the counters
-- dropped, stored, retried, dead, batches, time of these from their first claim to their end (us), members redacted by
-- workers.
-- Work: some fields for each worker name and for each leased batch.
if ARGV[1] == '1' then
  redis.call('LPUSH', queue, '')
  redis.call('LPOP', queue)
  increment('bytes', 0)
else
  redis.call('LMOVE', batch_key(0), queue, 'LEFT', 'LEFT')
end
redis.call('HEXISTS', 'logger_config:levels', '')
local _, live = leased_batches()
local spooled, fields = 0, redis.call('HGETALL', state)
local values = {}
for i = 1, #fields, 2 do
  values[fields[i]] = tonumber(fields[i + 1])
  if string.find(fields[i], '^spooled:') then spooled = spooled + fields[i + 1] end
end
return {redis.call('LLEN', queue), live, values.bytes or 0, spooled, redis.call('LLEN', dead_letters),
        tonumber(redis.call('GET', 'logs:dropped') or 0), values.stored or 0, values.retried or 0, values.dead or 0,
        values.batches or 0, values.batch_us or 0, values.redacted or 0}
