-- Ends one batch and claims the next, in one round trip and one fsync. If the reply was lost, the caller repeats the
-- call with the same arguments: no batch is ended twice, and the batch that was claimed is returned.
-- ARGV:
--  1 worker, 2 token ("<process>.<sender>"), 3 1 if the worker has just started, 4 length of a lease (us),
--  5 instance id to use if there is none yet, 6 fewest and 7 most entries to claim (7 is 0: none),
--  8 bytes after which a batch is full, 9 and 10 bounds of the queue (entries, bytes),
-- 11 and 12 bounds of the dead letters (entries, bytes), 13 the batch to end ("": none), 14 its bytes,
-- 15 number of its dead letters, 16 number of its entries that are stored, 17 how often it was sent again,
-- 18 number of redacted members; then its dead letters, and its entries to return to the queue, newest first.
-- Returns 0, the number of queued entries and 1 (0 if no batch was to be claimed); or the batch number, when it was first
-- claimed (us), the instance id, 1 if it may have been sent before, and its entries, newest first.
-- Work: the entries of one batch (at most 1,000, and at most 7 MiB and one entry), and their dead letters: six times
-- that if they consist of control characters; MEMORY USAGE visits up to 10,000 nodes.
local worker, token, started, lease = ARGV[1], ARGV[2], ARGV[3] == '1', tonumber(ARGV[4])
local min_entries, max_entries, full_bytes = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local ended, ended_bytes, ended_dead = ARGV[13], tonumber(ARGV[14]), tonumber(ARGV[15])
local now = now_us()

local function add_dead_letters(letters)
  if #letters == 0 then return end
  redis.call('LPUSH', dead_letters, unpack(letters))
  increment('dead', #letters)
  redis.call('LTRIM', dead_letters, 0, ARGV[11] - 1)
  local excess = redis.call('MEMORY', 'USAGE', dead_letters, 'SAMPLES', 0) - ARGV[12]
  while excess > 0 do excess = excess - #redis.call('RPOP', dead_letters) end
end

local function return_to_queue(entries)
  if #entries == 0 then return end
  local bytes = 0
  for _, entry in ipairs(entries) do bytes = bytes + #entry end
  redis.call('RPUSH', queue, unpack(entries))
  increment('bytes', bytes)
  enforce_bounds(tonumber(ARGV[9]), tonumber(ARGV[10]))
end

local function end_batch()
  local batch = read_header(ended)
  if not batch or batch.token ~= token then return end
  local letters, returned = {}, {}
  for i = 19, 18 + ended_dead do letters[#letters + 1] = ARGV[i] end
  for i = 19 + ended_dead, #ARGV do returned[#returned + 1] = ARGV[i] end
  redis.call('DEL', batch_key(ended))
  redis.call('ZREM', inflight, ended)
  increment('bytes', -ended_bytes)
  increment('stored', ARGV[16])
  increment('retried', ARGV[17])
  increment('redacted', ARGV[18])
  increment('batches', 1)
  increment('batch_us', now - batch.claimed)
  add_dead_letters(letters)
  return_to_queue(returned)
end

local function reply_of(batch, entries)
  local reply = {batch.number, batch.claimed, redis.call('HGET', state, 'instance'), tonumber(batch.sent)}
  for _, entry in ipairs(entries) do reply[#reply + 1] = entry end
  return reply
end

-- Whether an earlier process with this worker's name holds the batch.
local function is_of_earlier_process(batch)
  return batch.worker == worker and string.match(batch.token, '^[^.]+') ~= string.match(token, '^[^.]+')
end

-- Takes a batch of this sender whose reply was lost, one of an earlier process, or one whose lease has expired.
local function take_over()
  local leases = redis.call('ZRANGE', inflight, 0, -1, 'WITHSCORES')
  for i = 1, #leases, 2 do
    local batch = read_header(leases[i])
    if not batch then
      redis.call('ZREM', inflight, leases[i])
    elseif batch.token == token or (started and is_of_earlier_process(batch)) or tonumber(leases[i + 1]) <= now then
      if batch.token ~= token then batch.sent = '1' end
      batch.worker, batch.token = worker, token
      write_header(batch)
      redis.call('ZADD', inflight, to_text(now + lease), batch.number)
      return reply_of(batch, redis.call('LRANGE', batch_key(batch.number), 1, -1))
    end
  end
end

local function claim()
  local batch = {number = to_text(increment('next_batch', 1)), claimed = to_text(now), to_drop = 0, worker = worker,
                 token = token, sent = '0'}
  local entries, bytes = {}, 0
  while #entries < max_entries and bytes < full_bytes do
    local entry = redis.call('LMOVE', queue, batch_key(batch.number), 'RIGHT', 'LEFT')
    if not entry then break end
    table.insert(entries, entry)
    bytes = bytes + #entry
  end
  redis.call('LPUSH', batch_key(batch.number), header_of(batch))
  redis.call('ZADD', inflight, to_text(now + lease), batch.number)
  for i = 1, math.floor(#entries / 2) do
    entries[i], entries[#entries + 1 - i] = entries[#entries + 1 - i], entries[i]
  end
  return reply_of(batch, entries)
end

redis.call('HSETNX', state, 'instance', ARGV[5])
if ended ~= '' then end_batch() end
if max_entries > 0 then
  local batch = take_over()
  if batch then return batch end
end
local queued = redis.call('LLEN', queue)
if max_entries == 0 or queued == 0 or queued < min_entries then return {0, queued, math.min(max_entries, 1)} end
return claim()
