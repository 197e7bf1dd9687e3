"""Server networking: netplan bonds for a fresh installation, and membership of the vRack.

Offers the netplan document and the attach and detach plans; it does not know about OpenNebula networks.
"""
