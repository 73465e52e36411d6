-- Requests of a file, one after the other, for wrk. A line a request, parted by tabs: its method, its path, its body
-- (`-`: none), then its headers.
-- At the end one line of JSON: times in microseconds, as wrk counts them.

local requests, number = {}, 0

function init(args)
  for line in io.lines(args[1]) do
    local parts, headers = {}, {}
    for part in line:gmatch("[^\t]+") do
      parts[#parts + 1] = part
    end
    for place = 4, #parts do
      local name, value = parts[place]:match("^([^:]+): (.*)$")
      headers[name] = value
    end
    local body = nil
    if parts[3] ~= "-" then
      body = parts[3]
    end
    requests[#requests + 1] = wrk.format(parts[1], parts[2], headers, body)
  end
end

function request()
  number = number % #requests + 1
  return requests[number]
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '{"requests":%d,"bytes":%d,"duration_us":%d,"p50_us":%d,"p99_us":%d,"failed":%d}\n',
    summary.requests, summary.bytes, summary.duration, latency:percentile(50), latency:percentile(99),
    e.connect + e.read + e.write + e.timeout + e.status
  ))
end
