-- A checkpoint of a loaded engine, by its phase. Its status carries no generation.
local status = obj.status or {}
local message = status.message or status.phase or "not started"
if status.phase == "Ready" then
  return { status = "Healthy", message = message }
elseif status.phase == "Failed" then
  return { status = "Degraded", message = message }
end
return { status = "Progressing", message = message }
