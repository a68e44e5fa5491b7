"""Availability of UK pensions dashboards endpoints, watched over mutual TLS and accounted exactly."""

__version__ = "0.1.0"
