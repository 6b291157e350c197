-- The operator's verdict on the whole graph (status.state), with the message of
-- the condition Ready. A verdict on an older generation is none.
local status = obj.status or {}
if status.state == nil or (status.observedGeneration or 0) < (obj.metadata.generation or 0) then
  return { status = "Progressing", message = "waiting for the Dynamo operator to see this generation" }
end

local message = status.state
for _, condition in ipairs(status.conditions or {}) do
  if condition.type == "Ready" and condition.message ~= nil and condition.message ~= "" then
    message = condition.message
  end
end

if status.state == "successful" then
  return { status = "Healthy", message = message }
elseif status.state == "failed" then
  return { status = "Degraded", message = message }
end
return { status = "Progressing", message = message }
