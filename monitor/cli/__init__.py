"""The command line: arguments to calls, errors to exit codes and advice.

Whatever is slow to import is imported inside a command, so that `--help` answers at once.
"""

from monitor.cli.root import cli, main

__all__ = ["cli", "main"]
