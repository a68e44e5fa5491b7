"""A local stand-in for the ecosystem, in a process of its own; the daemon never imports it.

`serve` runs it: its own PKI, an issued crypto pack, Find, View and PAT refresh endpoints over real
mutual TLS that fail on command, and a webhook sink that verifies signatures.
"""

from monitor.sandbox.app import serve

__all__ = ["serve"]
