-- Repeats one request. Its method, key and body are the arguments after `--`.
-- No code runs for each answer, so that the generator stays cheap.
-- The last line printed has the figures, as JSON.

function init(args)
    wrk.method = args[1]
    wrk.headers["Authorization"] = args[2]
    wrk.headers["Accept"] = "application/vnd.api+json"
    if args[3] then
        wrk.headers["Content-Type"] = "application/vnd.api+json"
        wrk.body = args[3]
    end
end

function done(summary, latency, requests)
    local errors = summary.errors
    io.write(string.format(
        '{"answers":%d,"microseconds":%d,"p50":%d,"p99":%d,"refused":%d,"broken":%d}\n',
        summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
        errors.status, errors.connect + errors.read + errors.write + errors.timeout
    ))
end
