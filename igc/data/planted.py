"""The planted masks of the simulated experiments: where in an image the answer is, and under which names.

Coordinates are x = (column - centre) / size to the right and y = -(row - centre) / size upwards, so that the image
spans one unit. An "ellipse" holds the pixels where a Gaussian *density* exceeds 1. Shapes that are compared pixel by
pixel (experiments C and D) are copies of one shape, moved by whole pixels, so that they match at any image size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["CORNERS", "Planted", "masks", "planted"]

Mask = npt.NDArray[np.bool_]
Weights = npt.NDArray[np.float64]

CORNERS = {"top left": (-1, 1), "top right": (1, 1), "bottom left": (-1, -1), "bottom right": (1, -1)}
"""Signs of x and y of the corners, in the order of the recipe."""


@dataclass(frozen=True)
class Planted:
    """The known answer of an experiment.

    Attributes
    ----------
    truth : array of float32 (target, channel, row, column)
        Signed mask of each target.
    regions : array of int32 (channel, row, column)
        Code of the planted region of each pixel; 0 is outside.
    names : dict of int to str
        Name of each code.
    """

    truth: npt.NDArray[np.float32]
    regions: npt.NDArray[np.int32]
    names: dict[int, str]


def _density(size: int, x: float, y: float, sigma: float) -> Weights:
    """Return the isotropic Gaussian density (row, column) around (x, y)."""
    axis = (np.arange(size) - (size - 1) / 2) / size
    squared = (axis[np.newaxis, :] - x) ** 2 + (-axis[:, np.newaxis] - y) ** 2
    return np.asarray(np.exp(-squared / (2 * sigma**2)) / (2 * np.pi * sigma**2))


def _ellipse(size: int, sigma: float, x: float = 0.0, y: float = 0.0) -> Mask:
    return np.asarray(_density(size, x, y, sigma) > 1)


def _square(size: int, side: float) -> Mask:
    axis = np.abs(np.arange(size) - (size - 1) / 2) / size <= side / 2
    return np.asarray(axis[:, np.newaxis] & axis[np.newaxis, :])


def _moved(mask: Mask, x: float, y: float) -> Mask:
    """Move a centred mask by (x, y), rounded to whole pixels."""
    size = len(mask)
    # halves are rounded outwards, so that opposite corners stay symmetric
    steps = [int(np.floor(abs(value) * size + 0.5)) * (1 if value > 0 else -1) for value in (-y, x)]
    return np.roll(mask, steps, axis=(0, 1))


def _weighted_sum_masks(size: int) -> dict[str, Weights]:
    difference = _density(size, 0, 0, 0.18) - 0.5 * _density(size, 0, 0, 0.1)
    return {"weights": difference / size**2}


def _maximum_masks(size: int) -> dict[str, Mask]:
    return {
        "top": _ellipse(size, 0.125, 0.0, 0.13001),
        "left": _ellipse(size, 0.125, -0.15625, -0.140625),
        "right": _ellipse(size, 0.125, 0.15625, -0.140625),
    }


def _noisy_pair_masks(size: int) -> dict[str, Mask]:
    shape = _ellipse(size, 0.078125)
    return {name: _moved(shape, 0.25 * x, 0.21875 * y) for name, (x, y) in CORNERS.items()}


def _permuted_masks(size: int) -> dict[str, Mask]:
    square = _square(size, 0.125)
    ring = _ellipse(size, 0.07) & ~square
    parts = {"centre ring": ring, "centre square": square}
    for name, (x, y) in CORNERS.items():
        parts[f"{name} ring"] = _moved(ring, 0.28125 * x, 0.28125 * y)
        parts[f"{name} square"] = _moved(square, 0.28125 * x, 0.28125 * y)
    return parts


_MASKS: dict[str, Callable[[int], dict[str, Weights] | dict[str, Mask]]] = {
    "weighted_sum": _weighted_sum_masks,
    "maximum": _maximum_masks,
    "noisy_pair": _noisy_pair_masks,
    "permuted": _permuted_masks,
}


def masks(experiment: str, size: int) -> dict[str, npt.NDArray[np.float64]]:
    """Return the masks that the rule of an experiment reads the image through.

    Parameters
    ----------
    experiment : {"weighted_sum", "maximum", "noisy_pair", "permuted"}
        Experiment A, B, C or D.
    size : int
        Image height and width in pixels.

    Returns
    -------
    dict of str to array of float64 (row, column)
        - ``weighted_sum``: ``weights``, a signed sum of pixels (alpha N(x; 0, sigma) / size**2, two Gaussians);
        - ``maximum``: ``top``, ``left``, ``right``, zeros and ones, partly overlapping;
        - ``noisy_pair``: the corners in the order of :data:`CORNERS`, equal shapes;
        - ``permuted``: ``centre ring``, ``centre square``, then ``<corner> ring`` and ``<corner> square`` for each
          corner, equal shapes.

        The pixels of equal shapes correspond in raster order.

    Notes
    -----
    Source: the simulation of Lelièvre and Chen, "Integrated gradient correlation" (arXiv 2404.13910), rebuilt from its
    description.
    """
    return {name: np.asarray(mask, dtype=np.float64) for name, mask in _MASKS[experiment](size).items()}


def _label(parts: dict[str, Mask]) -> tuple[npt.NDArray[np.int32], dict[int, str]]:
    """Give disjoint masks codes from 1; empty ones are left out."""
    named = {name: mask for name, mask in parts.items() if mask.any()}
    labels = np.zeros(next(iter(parts.values())).shape, dtype=np.int32)
    for code, mask in enumerate(named.values(), start=1):
        labels[mask] = code
    return labels, dict(enumerate(named, start=1))


def _without_overlap(parts: dict[str, Mask]) -> dict[str, Mask]:
    """Give pixels that lie in several parts a region of their own."""
    overlap = np.sum(list(parts.values()), axis=0) > 1
    return {**{name: mask & ~overlap for name, mask in parts.items()}, "overlap": overlap}


def planted(experiment: str, size: int) -> Planted:
    """Return the known answer of an experiment.

    Parameters
    ----------
    experiment, size
        As for :func:`masks`.

    Returns
    -------
    Planted
        The truth is the signed weights (A), the union of the ellipses (B, C), or for each class the centre's ring and
        its own corner's ring (D, where the squares tell nothing, being permuted).
    """
    parts = masks(experiment, size)
    inside = {name: mask > 0 for name, mask in parts.items()}
    if experiment == "weighted_sum":
        truth = parts["weights"][np.newaxis]
        labels, names = _label({"centre": truth[0] < 0, "surround": truth[0] > 0})
    elif experiment == "permuted":
        truth = np.stack([parts["centre ring"] + parts[f"{corner} ring"] for corner in CORNERS])
        labels, names = _label(inside)
    else:
        truth = np.any(list(inside.values()), axis=0)[np.newaxis]
        labels, names = _label(_without_overlap(inside))
    return Planted(truth[:, np.newaxis].astype(np.float32), labels[np.newaxis], names)
