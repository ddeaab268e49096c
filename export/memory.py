"""Keeps the C library from giving large blocks back to the system after every use."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Parameters of mallopt(3)."""


def keep_large_blocks() -> bool:
    """Has malloc serve large blocks from its heap and keep up to 2 GiB of it free; returns whether the C library can.

    glibc asks the system for every block above 32 MiB anew, and the system fills it with zeros page by page: in a training
    step on the CPU whose tensors are that large this takes longer than its arithmetic. Other C libraries have their own
    rules.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, 2**31 - 1))
