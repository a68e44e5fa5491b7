"""A slow and obvious second account of the same facts, written apart from `monitor.core`."""
