"""Installer runs of OpenNebula: the request, the record on the servers, certificate renewal.

It offers `plan_installation` and `plan_certificate`; it must not call OpenNebula or reinstall servers.
"""
