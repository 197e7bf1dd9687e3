"""Finds the OpenNebula object of a resource: by recorded id, ownership mark, adoption or name.

Offers the lookups and what a namespace may use; it reads views only and does not know how a kind makes or changes an
object.
"""
