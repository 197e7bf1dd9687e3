"""Parts that several commands use: cluster session, connections, options, output and object names. It must not import
a command.
"""
