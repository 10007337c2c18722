-- Sends requests drawn at random from a file, which its argument names: raw
-- requests, ended by a record separator each. At the end it prints one line for
-- this program's parser.

local threads = 0

function setup(thread)
   threads = threads + 1
   thread:set("seed", threads)
end

local requests, count, random = {}, 0, math.random

function init(args)
   local file = assert(io.open(args[1], "rb"))
   for raw in file:read("*a"):gmatch("([^\30]+)\30") do
      count = count + 1
      requests[count] = raw
   end
   file:close()
   math.randomseed(seed)
end

function request()
   return requests[random(count)]
end

function done(summary, latency)
   local e = summary.errors
   io.write(string.format("measured %d %d %d %d %d\n", summary.requests, summary.duration,
      latency:percentile(50), latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
