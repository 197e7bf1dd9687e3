"""Helpers for every kind's plan: composition, delayed writes, schedules, IPv4 ranges, urgency.

They are pure apart from the urgency's context variable, and know no kind and no external API.
"""
