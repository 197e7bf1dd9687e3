"""Reconciles MachineImage: creates, adopts, updates and replaces an image in each of its clouds.

Offers the controller; it does not know how instances use the images.
"""
