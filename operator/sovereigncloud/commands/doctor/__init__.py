"""`sovereign doctor`: checks of endpoints, credentials and permissions, reported per feature. It must not write
anywhere.
"""
