-- Renews the lease of a batch, or releases the batch.
-- ARGV: batch number, token, length of the lease (us; 0: release), 1 if no entry of the batch is stored (its entries that
-- are marked to be dropped are then dropped and counted); bounds of the queue (entries, bytes).
-- Returns the number of entries of the batch, or -1 if another worker holds it; and the queue's fill level (per cent).
-- Work: the entries of one batch.
local batch = read_header(ARGV[1])
if not batch or batch.token ~= ARGV[2] then return {-1, 0} end
redis.call('ZADD', inflight, to_text(now_us() + ARGV[3]), batch.number)
if ARGV[4] == '1' and batch.to_drop > 0 then
  local dropped, bytes = redis.call('RPOP', batch_key(batch.number), batch.to_drop), 0
  for _, entry in ipairs(dropped) do bytes = bytes + #entry end
  increment('bytes', -bytes)
  count_drops(dropped)
  batch.to_drop = 0
  write_header(batch)
end
return {count_entries(batch.number), fill_percent(tonumber(ARGV[5]), tonumber(ARGV[6]))}
