"""`sovereign logs`: the operator's log lines about one object. It must not know how the operator creates them, only
their format.
"""
