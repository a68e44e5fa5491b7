"""Time-outs of HTTP requests as they are asked for."""

from __future__ import annotations

import math
from datetime import timedelta

import aiohttp


def exactly(total: timedelta) -> aiohttp.ClientTimeout:
    """Give up on a whole request after this long; aiohttp alone rounds over 5 s up to a whole second."""
    return aiohttp.ClientTimeout(total=total.total_seconds(), ceil_threshold=math.inf)
