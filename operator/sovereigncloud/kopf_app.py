"""The Kopf handlers: a few lines each."""
