-- For requests that the operator itself answers; dynamo-cmp renders them away.
-- v1beta1 has status.phase, v1alpha1 status.state with the same words.
local status = obj.status or {}
local phase = status.phase or status.state
if phase == nil or (status.observedGeneration or 0) < (obj.metadata.generation or 0) then
  return { status = "Progressing", message = "waiting for the Dynamo operator to see this generation" }
end

local message = phase
for _, condition in ipairs(status.conditions or {}) do
  if condition.status == "False" and condition.message ~= nil and condition.message ~= "" then
    message = phase .. ": " .. condition.message
  end
end

if phase == "Failed" or phase == "DeploymentDeleted" then
  return { status = "Degraded", message = message }
elseif phase == "Deployed" then
  return { status = "Healthy", message = phase }
elseif phase == "Ready" then
  if obj.spec.autoApply == false or status.state == "Ready" then
    return { status = "Healthy", message = phase }
  end
  return { status = "Progressing", message = "profiled, not deployed yet" }
end
return { status = "Progressing", message = message }
