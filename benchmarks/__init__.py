"""Measurements taken by hand; see README.md. Nothing of the product imports this."""
