"""Arrays as short text, so that a page can hold the maps of all studies and needs no file beside it."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["LEVELS", "MISSING", "pack_codes", "pack_maps", "unpack_maps"]

LEVELS = 32767
"""Steps between zero and the largest magnitude of a map."""
MISSING = -32768
"""What stands for NaN."""


def _text(values: npt.NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode("ascii")


def pack_maps(maps: npt.NDArray[np.float64]) -> dict[str, Any]:
    """Round maps to 16-bit integers, each to its own largest magnitude.

    Parameters
    ----------
    maps : array (map, component)
        Signed values; what is not finite becomes :data:`MISSING`.

    Returns
    -------
    dict
        ``scale`` (map): value of one step, 0 for a map without any value but zero; ``data``: base64 of little-endian
        int16, map by map. No value is off by more than half a step, 1/65534 of the largest magnitude of its map.
    """
    known = np.isfinite(maps)
    filled = np.where(known, maps, 0.0)
    scale = np.abs(filled).max(axis=1, initial=0.0) / LEVELS
    # the smallest numbers have no step of their own
    steps = np.divide(filled, scale[:, None], out=np.zeros_like(filled), where=scale[:, None] > 0)
    rounded = np.where(known, np.rint(steps), MISSING).astype("<i2")
    return {"scale": scale.tolist(), "data": _text(rounded)}


def unpack_maps(packed: dict[str, Any]) -> npt.NDArray[np.float64]:
    """Return the maps (map, component) of :func:`pack_maps`, as a page sees them."""
    scale = np.asarray(packed["scale"], dtype=np.float64)
    steps = np.frombuffer(base64.b64decode(packed["data"]), dtype="<i2").reshape(len(scale), -1)
    return np.where(steps == MISSING, np.nan, steps * scale[:, None])


def pack_codes(codes: npt.NDArray[np.integer[Any]]) -> dict[str, Any]:
    """Write whole numbers from 0 in as few bytes as their largest needs.

    Parameters
    ----------
    codes : array
        Labels or positions, flattened in C order.

    Returns
    -------
    dict
        ``bytes``: 1, 2 or 4 a number; ``data``: base64 of little-endian unsigned integers.
    """
    largest = int(codes.max(initial=0))
    size = 1 if largest < 2**8 else 2 if largest < 2**16 else 4
    return {"bytes": size, "data": _text(codes.ravel().astype(f"<u{size}"))}
