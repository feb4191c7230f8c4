package redis

// The scripts for sessions and challenges. KEYS are the record and the index of
// expiries beside it, in one slot.
var (
	// create: ARGV record, expiry, id. 0 if the id is taken.
	createScript = newScript(`
if not redis.call('SET', KEYS[1], ARGV[1], 'NX') then return 0 end
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[3])
return 1`)

	// save: ARGV the version to replace, record, expiry, id, owner, and 1 if the id
	// is in the owner's list already. It answers with the former record, with "stale",
	// or with "list" when the id must be put into the list of a new owner first.
	saveScript = newScript(`
local former = redis.call('GET', KEYS[1]) or ''
local version, owner = string.match(former, '^(%-?%d+) (%S+) ')
if version ~= ARGV[1] then return 'stale' end
if owner ~= ARGV[5] and ARGV[5] ~= '!' and ARGV[6] ~= '1' then return 'list' end
redis.call('SET', KEYS[1], ARGV[2])
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[4])
return former`)

	// take: ARGV id. The record, once.
	takeScript = newScript(`
local record = redis.call('GET', KEYS[1])
if not record then return false end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[1])
return record`)

	// sweep: KEYS the index and then records, ARGV the time and then their ids. The
	// owners of those that it deleted, and "" for those that do not expire by then
	// any more: somebody has saved them meanwhile.
	sweepScript = newScript(`
local owners = {}
for i = 2, #KEYS do
  owners[i - 1] = ''
  local expires = redis.call('ZSCORE', KEYS[1], ARGV[i])
  if expires and tonumber(expires) <= tonumber(ARGV[1]) then
    local owner = string.match(redis.call('GET', KEYS[i]) or '', '^%-?%d+ (%S+) ')
    redis.call('DEL', KEYS[i])
    redis.call('ZREM', KEYS[1], ARGV[i])
    owners[i - 1] = owner or ''
  end
end
return owners`)
)

// The scripts for lists of sessions: KEYS the list, ARGV ids. Its scores are the
// time of Redis at which an id was added.
var (
	listScript = newScript(`
local t = redis.call('TIME')
for _, id in ipairs(ARGV) do redis.call('ZADD', KEYS[1], t[1], id) end
return 1`)

	// tidy strikes off ids, unless they were added within the last hour: their
	// session may be about to be written.
	tidyScript = newScript(`
local t = redis.call('TIME')
for _, id in ipairs(ARGV) do
  local added = redis.call('ZSCORE', KEYS[1], id)
  if added and tonumber(added) < t[1] - 3600 then redis.call('ZREM', KEYS[1], id) end
end
return 1`)
)
