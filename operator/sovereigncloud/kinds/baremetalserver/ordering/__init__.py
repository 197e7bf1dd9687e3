"""Server purchase: cart, checkout, order record and payment, so that a server is bought once.

Offers the purchase plan and its status; it does not know what is done with a server after delivery.
"""
