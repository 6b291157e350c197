-- A model or an adapter, by the endpoints that serve it. Its status carries no
-- generation.
local status = obj.status or {}
local total = status.totalEndpoints or 0
local ready = status.readyEndpoints or 0
local message = ready .. " of " .. total .. " endpoints ready" -- Argo CD lends a custom check no string library
if total > 0 and ready == total then
  return { status = "Healthy", message = message }
end
return { status = "Progressing", message = message }
