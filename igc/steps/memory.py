"""How this process asks the system for memory."""

from __future__ import annotations

import ctypes

__all__ = ["use_one_heap"]

_M_ARENA_MAX = -8
"""Number of the setting in glibc's malloc.h."""


def use_one_heap() -> None:
    """Let all threads share one heap, where the C library is glibc; elsewhere do nothing.

    By default every thread has heaps of its own, and the threads that decode chunks of samples keep what they freed:
    the peak then grows with the number of chunks. For processes of our own only, not for a notebook's.
    """
    try:
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
    except (OSError, AttributeError, TypeError):
        return
