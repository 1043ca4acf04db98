-- Once a second, since not everybody pushes through Godot: measures the queue and brings it below its bounds.
-- ARGV: greatest number of entries, of bytes; worker, and the bytes on its disk.
-- Answers how many drops the log does not name yet, when the first and the last of them were, and whether there is
-- room for the line that names them; how full everything is (per cent); and whether it has to be asked again at once, since
-- more is to be dropped than one step may.
-- Work: MEMORY USAGE looks at each node of the lists, not at what stands in it: up to 131,072 in 1 GiB of queue, some
-- milliseconds. Two times at most what drop_queued() drops.
local max, max_bytes = tonumber(ARGV[1]), tonumber(ARGV[2])
local spooled = 'spooled:' .. ARGV[3]
if (redis.call('HGET', state, spooled) or '0') ~= ARGV[4] then redis.call('HSET', state, spooled, ARGV[4]) end

local function size(key) return redis.call('MEMORY', 'USAGE', key, 'SAMPLES', 0) or 0 end

local held = 0
for _, n in ipairs(redis.call('ZRANGE', inflight, 0, -1)) do held = held + size(batch_key(n)) end
local bytes, queued = size(queue), redis.call('LLEN', queue)
if queued > 0 and held + bytes > max_bytes then
  drop_queued(math.ceil((held + bytes - max_bytes) / (bytes / queued)), 0)
  bytes = size(queue)
end
held = held + bytes
if tonumber(redis.call('HGET', state, 'bytes') or 0) ~= held then redis.call('HSET', state, 'bytes', text(held)) end
local left = enforce(max, max_bytes)
held = tonumber(redis.call('HGET', state, 'bytes') or 0)
local drops = redis.call('HMGET', state, 'unreported', 'first', 'last')
local room = left < max and held < max_bytes
local more = (left > max or held > max_bytes) and redis.call('LLEN', queue) > 0
return {tonumber(drops[1] or 0), drops[2] or '', drops[3] or '', room and 1 or 0, fill(max, max_bytes), more and 1 or 0}
