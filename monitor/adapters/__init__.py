"""Touches the world: clock, network, store, files, logs."""
