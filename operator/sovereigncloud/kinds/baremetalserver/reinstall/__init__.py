"""Server reinstallation: template checks, day-0 script, reinstall, SSH host key pin.

Offers the reinstall plan and the record in the server's tags; it does not know about OpenNebula's installer beyond
its keys.
"""
