"""Random numbers that depend on (seed, purpose, index) and on nothing else.

No generator is shared between two purposes or passed along, so neither chunking, worker count nor the order of the
work can change a draw.
"""

from __future__ import annotations

import hashlib

import numpy as np

__all__ = ["generator", "integer_seed"]


def _entropy(seed: int, purpose: str, index: tuple[int, ...]) -> list[int]:
    """Return the key of one stream as 32-bit words."""
    digest = hashlib.sha256(purpose.encode()).digest()
    return [seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF, int.from_bytes(digest[:8], "little"), *index]


def generator(seed: int, purpose: str, *index: int) -> np.random.Generator:
    """Return the random generator of one purpose.

    Parameters
    ----------
    seed : int
        Non-negative seed of the study or call.
    purpose : str
        What the numbers are for, for example ``"pairs"``.
    *index : int
        Further non-negative coordinates: a sample, replicate, fold or unit number.

    Returns
    -------
    numpy.random.Generator
        A counter-based (Philox) generator, equal for equal arguments on every platform.
    """
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(_entropy(seed, purpose, index))))


def integer_seed(seed: int, purpose: str, *index: int) -> int:
    """Return a 63-bit seed for a library that keeps its own generator (torch, scikit-learn).

    Parameters
    ----------
    seed, purpose, *index
        As for :func:`generator`.

    Returns
    -------
    int
        A number in [0, 2**63).
    """
    return int(generator(seed, purpose, *index).integers(2**63))
