-- Every kind of the group sovereigncloud.io (Sovereign Cloud Operator: OpenNebula clouds on OVHcloud and elsewhere).
--
-- All of them keep one status contract, that of kstatus:
--   status.observedGeneration  the spec that the status speaks of; the CRDs default it to -1, so it is there from the start
--   Ready                      always there once the operator has looked
--   Reconciling, Stalled       there only while true, never both; Stalled: no retry mends it, a person must act
--   Paused                     there only while the annotation sovereigncloud.io/paused is "true"
--   Drifted                    what was found to differ outside; does not take Ready away
--   Verified                   what the tests of a cloud found; Ready alone says whether it does its job
-- Nothing is under way where only a person's word is missing, and so it is Suspended, which holds the sync waves behind it:
-- Paused; Reconciling/ApprovalRequired, where a restart, a payment or a plan waits for a field of spec that the message
-- names; and Reconciling/NotActing, where spec.management is Observe.
local waits_for_a_person = {ApprovalRequired = true, ManualStepRequired = true, NotActing = true}
local status = obj.status or {}
local is = {}
for _, condition in ipairs(status.conditions or {}) do
  if condition.status == "True" then
    is[condition.type] = condition
  elseif condition.type == "Ready" then
    is.NotReady = condition
  end
end

local function health(name, condition)
  return {status = name, message = condition.message or ""}
end

if status.observedGeneration ~= obj.metadata.generation then
  return {status = "Progressing", message = "Waiting for the operator to observe the latest spec"}
elseif is.Paused then
  return health("Suspended", is.Paused)
elseif is.Stalled then
  return health("Degraded", is.Stalled)
elseif is.Reconciling and waits_for_a_person[is.Reconciling.reason] then
  return health("Suspended", is.Reconciling)
elseif is.Reconciling then
  return health("Progressing", is.Reconciling)
elseif is.Ready then
  return health("Healthy", is.Drifted or {})
elseif is.NotReady then
  return health("Progressing", is.NotReady)
end
return {status = "Progressing", message = "Waiting for the operator to observe the resource"}
