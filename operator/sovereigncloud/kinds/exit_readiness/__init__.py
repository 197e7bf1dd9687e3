"""Exit readiness: which VMs could leave a cloud now, and what blocks the others.

It offers the estimate to ExitPlan and to the EXIT column of SovereignCloud. It must not create migrations or change
anything.
"""
