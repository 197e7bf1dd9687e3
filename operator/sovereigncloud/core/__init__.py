"""Pure building blocks: plan, outcome, decision, conditions, change limits, placement, exit estimate and marks.

No I/O, no clock, and no knowledge of kinds, ports or the engine.
"""
