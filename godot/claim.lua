-- Ends one batch and claims the next, in one go: one round trip and one fsync for both. Asked again because the
-- answer was lost, it ends nothing twice and finds the batch that it had claimed.
-- ARGV: worker, token ("<process>.<sender>"), 1 for a worker that has just started, length of a lease (us), an instance id to use where
-- there is none yet, fewest and most entries to claim (0: none), bytes after which a batch is full,
-- bounds of the queue (entries, bytes), bounds of the dead letters (entries, bytes),
-- the batch that is done ("": none), its bytes, how many of its entries are dead letters, how many are stored, how often
-- it was sent once more, how many members were redacted, the dead letters, and the entries that go back to the queue, newest first.
-- Work: entries of one batch (the fewest of 1,000, 7 MiB and one entry), and their letters: six times that where they are
-- all control characters; MEMORY USAGE looks at up to 10,000 nodes.
-- Answers 0, the number of queued entries and 0 where none was wanted, or batch, when it was claimed first, instance id, whether it may have
-- been sent before, and its entries, newest first.
local worker, token, started, lease = ARGV[1], ARGV[2], ARGV[3] == '1', tonumber(ARGV[4])
local fewest, most, full = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local done, done_bytes, deaths = ARGV[13], tonumber(ARGV[14]), tonumber(ARGV[15])
local now = now_us()

local function add_dead_letters(letters)
  if #letters == 0 then return end
  redis.call('LPUSH', dead_letters, unpack(letters))
  add('dead', #letters)
  redis.call('LTRIM', dead_letters, 0, ARGV[11] - 1)
  local over = redis.call('MEMORY', 'USAGE', dead_letters, 'SAMPLES', 0) - ARGV[12]
  while over > 0 do over = over - #redis.call('RPOP', dead_letters) end
end

local function put_back(entries)
  if #entries == 0 then return end
  local bytes = 0
  for _, entry in ipairs(entries) do bytes = bytes + #entry end
  redis.call('RPUSH', queue, unpack(entries))
  add('bytes', bytes)
  enforce(tonumber(ARGV[9]), tonumber(ARGV[10]))
end

local function finish()
  local batch = read_header(done)
  if not batch or batch.token ~= token then return end
  local letters, back = {}, {}
  for i = 19, 18 + deaths do letters[#letters + 1] = ARGV[i] end
  for i = 19 + deaths, #ARGV do back[#back + 1] = ARGV[i] end
  redis.call('DEL', batch_key(done))
  redis.call('ZREM', inflight, done)
  add('bytes', -done_bytes)
  add('stored', ARGV[16])
  add('retried', ARGV[17])
  add('redacted', ARGV[18])
  add('batches', 1)
  add('batch_us', now - batch.claimed)
  add_dead_letters(letters)
  put_back(back)
end

local function answer(batch, entries)
  local reply = {batch.n, batch.claimed, redis.call('HGET', state, 'instance'), tonumber(batch.sent)}
  for _, entry in ipairs(entries) do reply[#reply + 1] = entry end
  return reply
end

-- Held by another process that had the name of this worker.
local function is_of_life_before(batch)
  return batch.worker == worker and string.match(batch.token, '^[^.]+') ~= string.match(token, '^[^.]+')
end

-- A batch of one's own whose answer was lost, one of the life before, or one whose lease has run out.
local function take_over()
  local leases = redis.call('ZRANGE', inflight, 0, -1, 'WITHSCORES')
  for i = 1, #leases, 2 do
    local batch = read_header(leases[i])
    if not batch then
      redis.call('ZREM', inflight, leases[i])
    elseif batch.token == token or (started and is_of_life_before(batch)) or tonumber(leases[i + 1]) <= now then
      if batch.token ~= token then batch.sent = '1' end
      batch.worker, batch.token = worker, token
      write_header(batch)
      redis.call('ZADD', inflight, text(now + lease), batch.n)
      return answer(batch, redis.call('LRANGE', batch_key(batch.n), 1, -1))
    end
  end
end

local function claim()
  local batch = {n = text(add('next_batch', 1)), claimed = text(now), to_drop = 0, worker = worker, token = token, sent = '0'}
  local entries, bytes = {}, 0
  while #entries < most and bytes < full do
    local entry = redis.call('LMOVE', queue, batch_key(batch.n), 'RIGHT', 'LEFT')
    if not entry then break end
    table.insert(entries, entry)
    bytes = bytes + #entry
  end
  redis.call('LPUSH', batch_key(batch.n), header_of(batch))
  redis.call('ZADD', inflight, text(now + lease), batch.n)
  for i = 1, math.floor(#entries / 2) do
    entries[i], entries[#entries + 1 - i] = entries[#entries + 1 - i], entries[i]
  end
  return answer(batch, entries)
end

redis.call('HSETNX', state, 'instance', ARGV[5])
if done ~= '' then finish() end
if most > 0 then
  local batch = take_over()
  if batch then return batch end
end
local queued = redis.call('LLEN', queue)
if most == 0 or queued == 0 or queued < fewest then return {0, queued, math.min(most, 1)} end
return claim()
