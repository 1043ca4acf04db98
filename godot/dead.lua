-- What an operator does with dead letters, the oldest first.
-- ARGV: "list", "replay" or "discard"; how many letters at most; how many of the oldest to pass over (list); bounds of the
-- queue (entries, bytes).
-- Answers how many letters there were, how many were looked at, how many of these were moved or removed, and the letters
-- (list). A letter that does not hold its whole entry cannot be replayed: it becomes the newest.
local total = redis.call('LLEN', dead_letters)
local most, skip = math.min(tonumber(ARGV[2]), total), tonumber(ARGV[3])

if ARGV[1] == 'list' then
  local letters = most > 0 and redis.call('LRANGE', dead_letters, -skip - most, -skip - 1) or {}
  local reply = {total, #letters, 0}
  for i = #letters, 1, -1 do reply[#reply + 1] = letters[i] end
  return reply
end

local seen, moved = 0, 0
while seen < most do
  local letter = redis.call('RPOP', dead_letters)
  seen = seen + 1
  if ARGV[1] == 'discard' then
    moved = moved + 1
  else
    local read, content = pcall(cjson.decode, letter)
    if read and type(content.entry) == 'string' and not content.cut_from then
      redis.call('LPUSH', queue, content.entry)
      add('bytes', #content.entry)
      moved = moved + 1
    else
      redis.call('LPUSH', dead_letters, letter)
    end
  end
end
if ARGV[1] == 'replay' then enforce(tonumber(ARGV[4]), tonumber(ARGV[5])) end
return {total, seen, moved}
