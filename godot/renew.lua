-- ARGV: batch, token, length of the lease (us; 0 gives the batch to whoever asks next), 1 where the batch is known not
-- to be stored: what is marked of it is then dropped and counted; bounds of the queue (entries, bytes).
-- Answers how many entries the batch holds, or -1: it is somebody else's by now; and how full everything is (per cent).
-- Work: the entries of one batch.
local batch = read_header(ARGV[1])
if not batch or batch.token ~= ARGV[2] then return {-1, 0} end
redis.call('ZADD', inflight, text(now_us() + ARGV[3]), batch.n)
if ARGV[4] == '1' and batch.to_drop > 0 then
  local gone, bytes = redis.call('RPOP', batch_key(batch.n), batch.to_drop), 0
  for _, entry in ipairs(gone) do bytes = bytes + #entry end
  add('bytes', -bytes)
  count_drops(gone)
  batch.to_drop = 0
  write_header(batch)
end
return {entries_of(batch.n), fill(tonumber(ARGV[5]), tonumber(ARGV[6]))}
