-- Measures the queue and enforces its bounds; called once a second, since some producers push without Godot.
-- ARGV: bounds of the queue (entries, bytes); worker, and the bytes in its spool.
-- Returns the number of drops that no log entry reports yet, the times of the first and the last of them (us), 1 if the
-- queue has room for a drop report, the queue's fill level (per cent), and 1 if the script has to be called again at
-- once because more entries are to be dropped than one step may drop.
-- Work: MEMORY USAGE visits each node of the lists, not the entries in it: up to 131,072 nodes in 1 GiB of queue, some
-- milliseconds. Also at most twice the work of drop_queued().
local max_entries, max_bytes = tonumber(ARGV[1]), tonumber(ARGV[2])
local spooled = 'spooled:' .. ARGV[3]
if (redis.call('HGET', state, spooled) or '0') ~= ARGV[4] then redis.call('HSET', state, spooled, ARGV[4]) end

local function memory_of(key) return redis.call('MEMORY', 'USAGE', key, 'SAMPLES', 0) or 0 end

local total_bytes = 0
for _, number in ipairs(redis.call('ZRANGE', inflight, 0, -1)) do
  total_bytes = total_bytes + memory_of(batch_key(number))
end
local queue_bytes, queued = memory_of(queue), redis.call('LLEN', queue)
if queued > 0 and total_bytes + queue_bytes > max_bytes then
  drop_queued(math.ceil((total_bytes + queue_bytes - max_bytes) / (queue_bytes / queued)), 0)
  queue_bytes = memory_of(queue)
end
total_bytes = total_bytes + queue_bytes
if tonumber(redis.call('HGET', state, 'bytes') or 0) ~= total_bytes then
  redis.call('HSET', state, 'bytes', to_text(total_bytes))
end
local entries = enforce_bounds(max_entries, max_bytes)
total_bytes = tonumber(redis.call('HGET', state, 'bytes') or 0)
local drops = redis.call('HMGET', state, 'unreported', 'first', 'last')
local has_room = entries < max_entries and total_bytes < max_bytes
local has_more = (entries > max_entries or total_bytes > max_bytes) and redis.call('LLEN', queue) > 0
return {tonumber(drops[1] or 0), drops[2] or '', drops[3] or '', has_room and 1 or 0, fill_percent(max_entries, max_bytes),
        has_more and 1 or 0}
