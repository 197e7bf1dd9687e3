"""OpenNebula's own playbooks (one-deploy) in a Kubernetes Job: one per cloud and inventory, never two at once."""
