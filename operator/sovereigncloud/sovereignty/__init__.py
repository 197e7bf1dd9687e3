"""Pure evaluation of sovereignty policies: rules, facts, and one result per rule.

No I/O, no clock, and no knowledge of kinds, ports or the engine.
"""
