"""Tell the service manager how we are: the sd_notify protocol, without its library.

Source: sd_notify(3), sd_watchdog_enabled(3).
"""

from __future__ import annotations

import os
import socket
import time


def notify(state: str) -> bool:
    """Send `state` ("READY=1", "WATCHDOG=1", "STATUS=..."; several separated by line ends).

    Whether it was sent: False without a service manager, or when it does not listen. Never raises
    and never waits: how we are must not depend on who wants to know.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    if address.startswith("@"):  # an abstract socket: a name in the kernel, no file
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        channel.setblocking(False)
        try:
            channel.sendto(state.encode(), address)
        except OSError:
            return False
    return True


def reloading() -> bool:
    """Say that a reload has begun; it lasts until READY=1. Whether it was sent."""
    return notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")


def watchdog_interval() -> float | None:
    """Seconds between two signs of life: half of what the manager waits. None if unwatched."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    if not microseconds.isdecimal() or int(microseconds) == 0:
        return None
    return int(microseconds) / 2_000_000
