"""Generation and comparison of CRD schemas from the models. It must not know a cluster."""
