"""Shows: HTTP routes, JSON, metrics."""
