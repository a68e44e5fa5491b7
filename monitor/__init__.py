"""Availability of UK pensions dashboards endpoints: watched over mutual TLS, accounted exactly."""

__version__ = "0.1.0"
