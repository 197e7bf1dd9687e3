"""The kubelet of the sandbox, and what a cluster needs beside it for pods to run: binding them, and routing Services.

Real: the pods run. A container's command is a process in namespaces of its own, with the container's user, its root
file system read-only where it asks for that, its environment and volumes at their own paths, and a token of its
ServiceAccount. Probes, restarts, termination, status, exit codes and `kubectl logs` follow what Kubernetes documents.

Not real, and said here once:
- images: `images.Image` says which files and which command of this machine stand for one. A pod with any other image
  is not bound; it stays Pending with the reason Unschedulable, and without a warning where another process plays it.
- networks: a pod has a loopback address of its own and shares everything else of the network with the machine. A
  process that listens on 0.0.0.0 takes the port of all pods, so images listen on their pod's address.
- limits of CPU and memory, seccomp, lifecycle hooks, termination messages, `kubectl exec|attach|cp|port-forward|top`,
  sidecars (init containers that restart), probes over gRPC, volumes beyond emptyDir, secret, configMap, downwardAPI and
  projected, EndpointSlices: there are none.
- the wait before a container that failed is started again is 1 s to 20 s, where Kubernetes has 10 s to 5 min.
"""
