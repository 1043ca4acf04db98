-- Makes a batch of the entries of a spool record. Its lease has expired already (its score is its number, so that the
-- oldest comes first), so that it is claimed before anything else. A record is made a batch once only, whichever process
-- calls.
-- ARGV: worker, segment, offset, greatest number of unclaimed batches of this kind; entries, newest first.
-- Returns 1, or 0 if the greatest number is reached.
-- Work: the entries of one batch.
local position, segment, offset = 'spool:' .. ARGV[1], ARGV[2], tonumber(ARGV[3])
local last_segment, last_offset = string.match(redis.call('HGET', state, position) or '', '^(%S+) (%S+)$')
if redis.call('ZCOUNT', inflight, 1, redis.call('HGET', state, 'next_batch') or 0) >= tonumber(ARGV[4]) then return 0 end
if last_segment ~= segment or tonumber(last_offset) < offset then
  local batch = {number = to_text(increment('next_batch', 1)), claimed = to_text(now_us()), to_drop = 0, worker = '-',
                 token = '-', sent = '1'}
  local bytes = 0
  for i = 5, #ARGV do bytes = bytes + #ARGV[i] end
  redis.call('RPUSH', batch_key(batch.number), header_of(batch), unpack(ARGV, 5))
  redis.call('ZADD', inflight, batch.number, batch.number)
  redis.call('HSET', state, position, segment .. ' ' .. to_text(offset))
  increment('bytes', bytes)
end
return 1
