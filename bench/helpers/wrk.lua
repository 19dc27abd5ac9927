-- What it is told after its own arguments is asked for in turn, where that is more than one path.
init = function(paths)
  if #paths < 2 then return end
  local asked = 0
  request = function()
    asked = asked % #paths + 1
    return wrk.format("GET", paths[asked])
  end
end

-- What wrk counted, as one line of JSON on the standard error, apart from what it says to people.
done = function(summary, latency)
  local errors = summary.errors
  io.stderr:write(string.format(
    '{"requests":%d,"bytes":%d,"seconds":%.6f,"p99":%.3f,"errors":%d}\n',
    summary.requests, summary.bytes, summary.duration / 1e6, latency:percentile(99) / 1e3,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
