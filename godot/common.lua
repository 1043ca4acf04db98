-- Shared by the other scripts; it is prepended to each of them.
--
-- Keys:
-- KEYS[1]: the queue, a list; its head is the newest entry.
-- logs:batch:<number>: a batch that a worker holds under a lease, a list: a header, then the entries, newest first, so that
-- an entry keeps its index when older ones are removed. Header: "<claimed at, us> <entries to drop> <worker>
-- <process>.<sender> <1: may be stored already>".
-- logs:inflight: a sorted set: the batch numbers, with the end of their leases (us) as score.
-- logs:state: a hash:
--   next_batch, instance
--   bytes: of queued and leased entries; an estimate that the worker corrects
--   unreported, first, last: drops that no log entry reports yet, and the times of the first and the last of them (us)
--   dead, stored, retried, redacted, batches, batch_us: counters
--   spool:<worker>: the position in the worker's spool up to which batches have been moved back to Redis
--   spooled:<worker>: bytes in the worker's spool
-- logs:dead: a list of dead letters; its head is the newest. logs:dropped: a counter.
--
-- Redis serves no other client while a script runs: each script bounds its work and states the bound. Single entries of
-- producers that push directly may be large, up to 512 MB; entries pushed by Godot have at most 256 KiB.
local queue, inflight, state, dead_letters = KEYS[1], 'logs:inflight', 'logs:state', 'logs:dead'

local function to_text(number) return string.format('%.0f', number) end

local function now_us()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

local function increment(field, number) return redis.call('HINCRBY', state, field, to_text(number + 0)) end -- 0, not -0

local function batch_key(number) return 'logs:batch:' .. number end

-- Returns nil if the batch does not exist.
local function read_header(number)
  local header = redis.call('LINDEX', batch_key(number), 0)
  if not header then return nil end
  local claimed, to_drop, worker, token, sent = string.match(header, '^(%S+) (%S+) (%S+) (%S+) (%S+)$')
  return {number = number, claimed = claimed, to_drop = tonumber(to_drop), worker = worker, token = token, sent = sent}
end

local function header_of(batch)
  return table.concat({batch.claimed, to_text(batch.to_drop), batch.worker, batch.token, batch.sent}, ' ')
end

local function write_header(batch) redis.call('LSET', batch_key(batch.number), 0, header_of(batch)) end

local function count_entries(number) return redis.call('LLEN', batch_key(number)) - 1 end

-- Counts dropped entries. A drop report (entry_drop_report() in entry.c) is not counted itself: when one is dropped, the
-- drops that it reports become unreported again.
local function count_drops(entries)
  local dropped, unreported, first = 0, 0, now_us()
  local last = first
  for _, entry in ipairs(entries) do
    local reported, since = string.match(entry, '^{"godot_drops":%[(%d+),(%d+)%]')
    if reported then
      unreported, first = unreported + reported, math.min(first, since)
    else
      dropped = dropped + 1
    end
  end
  first = math.min(first, redis.call('HGET', state, 'first') or first)
  redis.call('INCRBY', 'logs:dropped', dropped)
  increment('unreported', dropped + unreported)
  redis.call('HSET', state, 'first', to_text(first), 'last', to_text(last))
end

-- Drops the oldest queued entries until at least `entries` entries and `bytes` bytes are removed. One step removes at most
-- max_drop_entries entries, and stops at the first entry that reaches max_drop_bytes; the next step continues. Returns the
-- number of removed entries, and their bytes.
local max_drop_entries, max_drop_bytes = 5000, 2097152
local function drop_queued(entries, bytes)
  local removed, freed = {}, 0
  while (#removed < entries or freed < bytes) and #removed < max_drop_entries and freed < max_drop_bytes do
    local entry = redis.call('RPOP', queue)
    if not entry then break end
    removed[#removed + 1] = entry
    freed = freed + #entry
  end
  if #removed > 0 then count_drops(removed) end
  return #removed, freed
end

-- Returns the leased batches, oldest first, and the number of their entries that are not marked to be dropped.
local function leased_batches()
  local batches, live = {}, 0
  for _, number in ipairs(redis.call('ZRANGE', inflight, 0, -1)) do
    local batch = read_header(number)
    if batch then
      batch.live = count_entries(number) - batch.to_drop
      live = live + batch.live
      batches[#batches + 1] = batch
    end
  end
  table.sort(batches, function(a, b) return tonumber(a.number) < tonumber(b.number) end)
  return batches, live
end

-- Returns how full the queue is, leased entries included, in per cent of the bound (entries or bytes) that is nearer.
local function fill_percent(max_entries, max_bytes)
  local _, live = leased_batches()
  local entries = redis.call('LLEN', queue) + live
  local bytes = redis.call('HGET', state, 'bytes') or 0
  return math.floor(100 * math.max(entries / max_entries, bytes / max_bytes))
end

-- Drops the oldest entries, leased ones first, until the queue is within its bounds or drop_queued() has reached its own.
-- A leased entry may be on its way to the store, so it is only marked: it no longer counts, and the worker that holds the
-- batch drops and counts it if it was not stored (renew.lua). The bound in bytes is kept by dropping queued entries only,
-- since marking an entry frees no memory. Returns the number of entries left.
local function enforce_bounds(max_entries, max_bytes)
  local batches, live = leased_batches()
  local queued = redis.call('LLEN', queue)
  local excess = queued + live - max_entries
  for _, batch in ipairs(batches) do
    local marked = math.min(excess, batch.live)
    if marked > 0 then
      batch.to_drop = batch.to_drop + marked
      write_header(batch)
      excess, live = excess - marked, live - marked
    end
  end
  local total_bytes = tonumber(redis.call('HGET', state, 'bytes') or 0)
  local dropped, dropped_bytes = drop_queued(excess, total_bytes - max_bytes)
  if dropped_bytes > 0 then increment('bytes', -dropped_bytes) end
  return queued - dropped + live
end
