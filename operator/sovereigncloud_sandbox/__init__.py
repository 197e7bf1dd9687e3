"""The sandbox: simulators of OVHcloud and OpenNebula, a local Kubernetes control plane with a kubelet, and the demo.

It knows the wire formats and the custom resources, and must not import the operator (`sovereigncloud`), which does not import it either.
"""
