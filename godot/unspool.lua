-- Makes a batch of what stood in a worker's spool, to be claimed before anything else: its lease has ended long ago, the
-- longer the earlier it came here. Asked again, also by another process, it makes none twice.
-- ARGV: worker, segment, offset, how many such batches may wait, entries, newest first.
-- Answers 1, or 0: so many wait already.
-- Work: the entries of one batch.
local place, segment, offset = 'spool:' .. ARGV[1], ARGV[2], tonumber(ARGV[3])
local last_segment, last_offset = string.match(redis.call('HGET', state, place) or '', '^(%S+) (%S+)$')
if redis.call('ZCOUNT', inflight, 1, redis.call('HGET', state, 'next_batch') or 0) >= tonumber(ARGV[4]) then return 0 end
if last_segment ~= segment or tonumber(last_offset) < offset then
  local batch = {n = text(add('next_batch', 1)), claimed = text(now_us()), to_drop = 0, worker = '-', token = '-', sent = '1'}
  local bytes = 0
  for i = 5, #ARGV do bytes = bytes + #ARGV[i] end
  redis.call('RPUSH', batch_key(batch.n), header_of(batch), unpack(ARGV, 5))
  redis.call('ZADD', inflight, batch.n, batch.n)
  redis.call('HSET', state, place, segment .. ' ' .. text(offset))
  add('bytes', bytes)
end
return 1
