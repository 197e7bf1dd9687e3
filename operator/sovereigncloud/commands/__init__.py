"""Commands of the `sovereign` CLI: one package per command family, shared parts in `shared/`. Commands read the
cluster and call the engine and kinds; neither of those may import a command.
"""
