-- One component of a graph, as the condition Available says. It has no failed
-- state: what keeps it from being available is seen on its pods.
local status = obj.status or {}
if (status.observedGeneration or 0) < (obj.metadata.generation or 0) then
  return { status = "Progressing", message = "waiting for the Dynamo operator to see this generation" }
end
for _, condition in ipairs(status.conditions or {}) do
  if condition.type == "Available" then
    if condition.status == "True" then
      return { status = "Healthy", message = condition.message }
    end
    return { status = "Progressing", message = condition.message }
  end
end
return { status = "Progressing", message = "not available yet" }
