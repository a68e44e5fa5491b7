"""The pages: overview, endpoints, incidents, downtime, months.

Each is made of documents of `operations.py`; each write is one of its operations.
"""
