"""`sovereign map`: a picture of clouds, servers, networks and instances by country. Model, layout and SVG are pure and
must not know the cluster session.
"""
