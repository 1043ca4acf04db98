-- What the other scripts share; it stands in front of each of them. KEYS[1] is the queue: its head is the newest
-- entry. A batch that a worker holds under a lease is a list, too: a header "<claimed at, us> <to drop> <worker>
-- <process>.<sender> <1: may be stored already>", then its entries, newest first, so that an entry keeps its index when
-- older ones go.
-- logs:inflight: batch numbers with the end of their leases (us). logs:state: next_batch, instance, bytes (of queued
-- and leased entries, an estimate that the worker corrects), unreported, first and last (drops that the log does not
-- name yet); ever: dead (letters), stored, retried, redacted, batches, batch_us; spool:<worker> (the place in its spool up to which
-- batches are here again), spooled:<worker> (bytes there).
-- While a script runs Redis serves nobody else: what each does at most is bounded, and said in it. Largest are the entries
-- of those who push by themselves, up to 512 MB; Godot's own have 256 KiB.
local queue, inflight, state, dead_letters = KEYS[1], 'logs:inflight', 'logs:state', 'logs:dead'

local function text(number) return string.format('%.0f', number) end

local function now_us()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

local function add(field, number) return redis.call('HINCRBY', state, field, text(number + 0)) end -- 0, not -0

local function batch_key(n) return 'logs:batch:' .. n end

-- nil: there is no such batch.
local function read_header(n)
  local header = redis.call('LINDEX', batch_key(n), 0)
  if not header then return nil end
  local claimed, to_drop, worker, token, sent = string.match(header, '^(%S+) (%S+) (%S+) (%S+) (%S+)$')
  return {n = n, claimed = claimed, to_drop = tonumber(to_drop), worker = worker, token = token, sent = sent}
end

local function header_of(batch)
  return table.concat({batch.claimed, text(batch.to_drop), batch.worker, batch.token, batch.sent}, ' ')
end

local function write_header(batch) redis.call('LSET', batch_key(batch.n), 0, header_of(batch)) end

local function entries_of(n) return redis.call('LLEN', batch_key(n)) - 1 end

-- Counts entries that were dropped. A line that names earlier drops is no entry of anybody's: where it is dropped
-- itself, what it names has to be named again.
local function count_drops(entries)
  local number, unnamed, first = 0, 0, now_us()
  local last = first
  for _, entry in ipairs(entries) do
    local named, since = string.match(entry, '^{"godot_drops":%[(%d+),(%d+)%]')
    if named then
      unnamed, first = unnamed + named, math.min(first, since)
    else
      number = number + 1
    end
  end
  first = math.min(first, redis.call('HGET', state, 'first') or first)
  redis.call('INCRBY', 'logs:dropped', number)
  add('unreported', number + unnamed)
  redis.call('HSET', state, 'first', text(first), 'last', text(last))
end

-- Drops the oldest from the queue until so many entries and so many bytes are gone, but in one step no more than this, and
-- one entry: the next step drops the rest. How many entries, and their bytes.
local drop_entries, drop_bytes = 5000, 2097152
local function drop_queued(entries, bytes)
  local gone, freed = {}, 0
  while (#gone < entries or freed < bytes) and #gone < drop_entries and freed < drop_bytes do
    local entry = redis.call('RPOP', queue)
    if not entry then break end
    gone[#gone + 1] = entry
    freed = freed + #entry
  end
  if #gone > 0 then count_drops(gone) end
  return #gone, freed
end

-- The leased batches, oldest first, and how many entries they hold that are not to be dropped.
local function leased()
  local batches, live = {}, 0
  for _, n in ipairs(redis.call('ZRANGE', inflight, 0, -1)) do
    local batch = read_header(n)
    if batch then
      batch.live = entries_of(n) - batch.to_drop
      live = live + batch.live
      batches[#batches + 1] = batch
    end
  end
  table.sort(batches, function(a, b) return tonumber(a.n) < tonumber(b.n) end)
  return batches, live
end

-- How full queue and leases are, in per cent of the bound that is nearer.
local function fill(max, max_bytes)
  local _, live = leased()
  local entries = redis.call('LLEN', queue) + live
  local bytes = redis.call('HGET', state, 'bytes') or 0
  return math.floor(100 * math.max(entries / max, bytes / max_bytes))
end

-- Brings queued and leased entries below their bounds, the oldest first, as far as one step may (drop_queued). A leased
-- entry may be on its way to the store at this moment, so it is only marked here: it no longer counts, and whoever holds
-- the batch drops and counts it if he learns that it was not stored. The bound in bytes takes queued entries only, since
-- marking frees no memory. How many entries are left.
local function enforce(max, max_bytes)
  local batches, live = leased()
  local queued = redis.call('LLEN', queue)
  local over = queued + live - max
  for _, batch in ipairs(batches) do
    local gone = math.min(over, batch.live)
    if gone > 0 then
      batch.to_drop = batch.to_drop + gone
      write_header(batch)
      over, live = over - gone, live - gone
    end
  end
  local held = tonumber(redis.call('HGET', state, 'bytes') or 0)
  local dropped, bytes = drop_queued(over, held - max_bytes)
  if bytes > 0 then add('bytes', -bytes) end
  return queued - dropped + live
end
