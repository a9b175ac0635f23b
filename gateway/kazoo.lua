-- The parts of the REST listener that Envoy has no setting for: it removes headers that a worker must be
-- able to trust, and turns the worker's metadata into an HTTP answer. The path is matched without its
-- query, so that "?account_id=..." cannot override a path variable; the worker reads the query from
-- x-rest-uri.

local STATUS = {"grpc-status", "grpc-message", "grpc-status-details-bin"}
local byte, find, sub = string.byte, string.find, string.sub
local X, G, N, COLON = byte("x"), byte("g"), byte("n"), byte(":")

-- Message and data of the envelope for a gRPC error that no surface has converted, by HTTP status.
local ERRORS = {
  ["400"] = {"bad request", '{"message":"the request cannot be read"}'},
  ["401"] = {"invalid_credentials", '{"message":"invalid credentials"}'},
  ["403"] = {"forbidden", '{"message":"forbidden"}'},
  ["404"] = {"not_found", '{"message":"not found"}'},
  ["429"] = {"too_many_requests", '{"message":"too many requests"}'},
  ["500"] = {"internal error", "{}"},
  ["503"] = {"datastore_unreachable", '{"message":"datastore timeout"}'},
  ["504"] = {"gateway_timeout", '{"message":"no answer in time"}'},
}
local EXPOSED = "x-request-id, etag, location, content-range, content-disposition"

local function unescape(text)
  return (text:gsub("+", " "):gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

local function escape_byte(byte) return string.format("%%%02X", byte:byte()) end

-- The request id for logs and answers: escaped to printable characters, at most 128 of them.
local function printable(id) return (id:gsub("[^\32-\126]", escape_byte):sub(1, 128)) end

local function json_escape(byte) return string.format("\\u%04x", byte:byte()) end

-- Secrets in a URI are masked in the log, also if their key is percent-encoded or in the path.
local SECRETS =
  {auth_token = true, api_key = true, credentials = true, key = true, password = true, sig = true}

local function masked(uri)
  if uri:find("=", 1, true) then
    uri = uri:gsub("([^/?&;=]+)=([^?&;]*)", function(key)
      if SECRETS[unescape(key):lower():gsub("-", "_")] then return key .. "=***" end
    end)
  end
  return (uri:gsub("eyJ[%w_-]+%.[%w_-]+%.[%w_-]*", "***"))
end

-- Headers that only Envoy may set, and headers for which gRPC would refuse the call. The first or last byte
-- rules out most names quickly: this and the loops below are a quarter of Envoy's cost of a small request.
local function is_unwanted(name)
  local first = byte(name)
  if first == COLON then return false end
  return (first == X and (sub(name, 1, 7) == "x-rest-" or sub(name, 1, 8) == "x-envoy-"))
    or (first == G and sub(name, 1, 5) == "grpc-") or (byte(name, -1) == N and sub(name, -4) == "-bin")
    or find(name, "[^0-9a-z_.%-]") ~= nil
end

local function clean(headers)
  local unwanted, foreign  -- nearly always nil: no tables for most requests
  for name, value in pairs(headers) do
    if is_unwanted(name) then
      unwanted = unwanted or {}
      unwanted[#unwanted + 1] = name
    elseif find(value, "[\128-\255]") then
      foreign = foreign or {}
      foreign[name] = value
    end
  end
  for _, name in ipairs(unwanted or {}) do headers:remove(name) end
  -- Metadata must be ASCII.
  for name, value in pairs(foreign or {}) do headers:replace(name, (value:gsub("[\128-\255]", escape_byte))) end
end

local function prepare(handle)
  local headers = handle:headers()
  clean(headers)
  local uri = headers:get(":path"):gsub("[\128-\255]", escape_byte)  -- metadata must be ASCII
  local version, rest = uri:match("^/(v1)(.*)$")
  local path = version and (rest == "" or rest:find("^[/?]")) and "/v2" .. rest or uri
  local content_type, length = headers:get("content-type"), headers:get("content-length")
  local method, request_id = headers:get(":method"), headers:get("x-request-id")
  if request_id and (#request_id > 128 or find(request_id, "[^\32-\126]")) then
    request_id = printable(request_id)
    headers:replace("x-request-id", request_id)
  end
  local noted = {uri = masked(uri), request_id = request_id, method = method}
  headers:add("x-rest-uri", uri)
  headers:add("x-rest-method", method)
  if content_type then headers:add("x-rest-content-type", content_type) end
  if length then headers:add("x-rest-content-length", length) end
  -- The transcoder would pass gRPC through unchanged; on this listener it is a request like any other.
  if content_type and content_type:lower():find("^%s*application/grpc") then
    headers:replace("content-type", "application/octet-stream")
    noted.says_grpc = true
  end
  handle:streamInfo():dynamicMetadata():set("kazoo_media", "request", noted)
  headers:replace(":path", (path:gsub("%?.*$", "")))
end

function envoy_on_request(handle)
  -- If a script fails, Envoy passes the request on; a half-cleaned one must not pass (CONNECT has no path).
  if not pcall(prepare, handle) then handle:respond({[":status"] = "400"}, "") end
end

local function envelope(status, request_id)
  local error = ERRORS[status]
  return string.format(
    '{"data":%s,"error":"%s","message":"%s","status":"error","auth_token":"undefined",'
      .. '"request_id":"%s","node":"%s","version":"%s","timestamp":"%s"}',
    error[2], status, error[1], (request_id:gsub('[%c"\\\128-\255]', json_escape)),
    os.getenv("GATEWAY_NODE") or "", os.getenv("GATEWAY_VERSION") or "",
    os.date("!%Y-%m-%dT%H:%M:%SZ"))
end

function envoy_on_response(handle)
  local headers = handle:headers()
  local status, length = headers:get("x-http-status"), headers:get("x-media-length")
  local grpc_status = headers:get("grpc-status")
  if grpc_status then
    for _, name in ipairs(STATUS) do headers:remove(name) end
  end
  local noted = handle:streamInfo():dynamicMetadata():get("kazoo_media")
  noted = noted and noted["request"]
  if status then
    headers:remove("x-http-status")
    headers:replace(":status", status)
  elseif grpc_status and grpc_status ~= "0" then
    local code = headers:get(":status")
    noted = noted or {request_id = "-", says_grpc = true}  -- Envoy could not parse the request
    -- Envoy's own answer to a request with a gRPC type has lost its HTTP status. The client is at fault,
    -- unless the status is 14, UNAVAILABLE.
    if noted["says_grpc"] then code = grpc_status == "14" and "503" or "400" end
    if not ERRORS[code] then code = "500" end
    headers:replace(":status", code)
    headers:replace("content-type", "application/json")
    headers:replace("access-control-allow-origin", "*")
    headers:replace("access-control-expose-headers", EXPOSED)
    if code == "503" or code == "429" then headers:replace("retry-after", "1") end
    local text = envelope(code, noted["request_id"])
    if noted["method"] == "HEAD" then text = "" end
    handle:body(true):setBytes(text)
    return
  end
  if length then
    headers:remove("x-media-length")
    headers:replace("content-length", length)
  end
  if not status then headers:remove("x-envoy-upstream-healthchecked-cluster") end
  -- The compressor would add the end of a gzip stream to an answer to HEAD, and Envoy would send it.
  if noted and noted["method"] == "HEAD" and not headers:get("etag") then
    headers:add("cache-control", "no-transform")
  end
end
