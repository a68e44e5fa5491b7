"""The HTTP API: a thin face of `operations.py` under `/api/v1`.

`table.py` says which request does what; routes, request checks and the OpenAPI document come from it.
"""
