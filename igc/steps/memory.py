"""How this process asks the system for memory."""

from __future__ import annotations

import ctypes

__all__ = ["use_one_heap"]

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
"""Numbers of the settings in glibc's malloc.h."""
KEPT_BYTES = 256 << 20
LARGE_BYTES = 32 << 20


def use_one_heap() -> None:
    """Let all threads share one heap, where the C library is glibc; elsewhere do nothing.

    By default every thread has heaps of its own, and the threads that decode chunks of samples keep what they freed:
    the peak then grows with the number of chunks. And up to :data:`KEPT_BYTES` are kept when they are freed: a model's
    layers ask for the same again at once, and memory that is new costs more time than most of them. For processes of
    our own only, not for a notebook's.
    """
    try:
        setting = ctypes.CDLL(None).mallopt
        setting(_M_ARENA_MAX, 1)
        setting(_M_MMAP_THRESHOLD, LARGE_BYTES)
        setting(_M_TRIM_THRESHOLD, KEPT_BYTES)
    except (OSError, AttributeError, TypeError):
        return
