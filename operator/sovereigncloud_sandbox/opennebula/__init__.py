"""A simulator of OpenNebula's front-end (oned) over its real wire format, XML-RPC at /RPC2.

One process hosts several independent clouds, each at an address of its own. What a cloud answers and when follows what
a real oned 7.4.0 was seen to do; where it was not seen, the documentation. It needs no hypervisor: hosts, disks and
guests are numbers.
"""
