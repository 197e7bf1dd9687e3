"""Types shared by the kinds: base classes, references, reasons, CEL rules and field types. They must not import a
kind's module.
"""
