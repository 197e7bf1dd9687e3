"""OpenNebula adapter: implements the ports in `ports.opennebula` over XML-RPC.

It must not know the engine or the commands.
"""
