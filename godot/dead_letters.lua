-- Lists, replays or discards dead letters, the oldest first.
-- ARGV: "list", "replay" or "discard"; greatest number of letters (at most 100); number of the oldest to skip (list);
-- bytes of letters after which the step ends; bounds of the queue (entries, bytes).
-- Returns the number of letters before the step, the number examined, how many of these were moved or removed, and the
-- letters (list). A letter that does not hold its whole entry cannot be replayed: it becomes the newest.
-- Work: "list" and "replay" read letters one by one, up to the bytes given and one letter (1.6 MB if its entry
-- consists of control characters); "discard" frees up to 100 letters without reading them.
local total = redis.call('LLEN', dead_letters)
local max_letters, offset, max_bytes = math.min(tonumber(ARGV[2]), total), tonumber(ARGV[3]), tonumber(ARGV[4])

-- Lists letters up to max_bytes, but at least one.
local function list()
  local reply, bytes = {total, 0, 0}, 0
  for i = 1, max_letters do
    local letter = redis.call('LINDEX', dead_letters, -offset - i)
    if not letter or (i > 1 and bytes + #letter > max_bytes) then break end
    bytes = bytes + #letter
    reply[2] = i
    reply[#reply + 1] = letter
  end
  return reply
end

local function discard()
  if max_letters > 0 then redis.call('LTRIM', dead_letters, 0, -max_letters - 1) end
  return {total, max_letters, max_letters}
end

local function replay()
  local examined, moved, bytes = 0, 0, 0
  while examined < max_letters and bytes < max_bytes do
    local letter = redis.call('LINDEX', dead_letters, -1)
    local is_json, content = pcall(cjson.decode, letter)
    examined, bytes = examined + 1, bytes + #letter
    if is_json and type(content) == 'table' and type(content.entry) == 'string' and not content.cut_from then
      redis.call('LTRIM', dead_letters, 0, -2)
      redis.call('LPUSH', queue, content.entry)
      increment('bytes', #content.entry)
      moved = moved + 1
    else
      redis.call('LMOVE', dead_letters, dead_letters, 'RIGHT', 'LEFT')
    end
  end
  enforce_bounds(tonumber(ARGV[5]), tonumber(ARGV[6]))
  return {total, examined, moved}
end

return ({list = list, replay = replay, discard = discard})[ARGV[1]]()
