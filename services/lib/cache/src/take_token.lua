-- A token bucket by the clock of Redis: KEYS[1]; ARGV rate per second, burst, cost, lifetime in ms.
-- Returns {1, 0} when the tokens were taken, else {0, ms until they would be there}.
local rate, burst, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local bucket = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens, at = tonumber(bucket[1]) or burst, tonumber(bucket[2]) or now
tokens = math.min(burst, tokens + math.max(0, now - at) / 1000000 * rate)
local answer
if tokens >= cost then
  tokens = tokens - cost
  answer = {1, 0}
else
  answer = {0, math.min(86400000, math.ceil((cost - tokens) / rate * 1000))}
end
redis.call('HSET', KEYS[1], 'tokens', string.format('%.17g', tokens), 'at', string.format('%.0f', now))
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return answer
