"""`sovereign drift`: lists the drift that status reports. It reads the cluster only and must not contact a cloud."""
