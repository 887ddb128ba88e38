"""Effective heat ratio: which share of a map's heat lies where the evidence is known to be."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from igc.errors import ShapeError, explain

__all__ = ["effective_heat_ratio"]

THRESHOLDS = np.linspace(0.0, 1.0, 11)


def effective_heat_ratio(values: npt.ArrayLike, inside: npt.ArrayLike, least: float = 0.1) -> float:
    """Return the share of heat inside a mask, averaged over thresholds (arXiv 2110.01471).

    Heat is the magnitude over its maximum. Units below ``least`` do not count; thresholds are the quantiles 0, 0.1
    ... 1 of the others, and at each one the heat inside is divided by all heat that reaches the threshold. (Public code
    divides by the *number* of units instead, and changes the map of its caller.)

    Parameters
    ----------
    values : array (unit,)
        A map.
    inside : array of bool (unit,)
        Where the evidence is known to be.
    least : float
        Smallest heat that counts.

    Returns
    -------
    float
        Area under the ratio over the quantiles; 1: all heat is inside. NaN for a map of zeros.
    """
    heat, mask = np.abs(np.asarray(values, dtype=np.float64)), np.asarray(inside, dtype=bool)
    if heat.shape != mask.shape:
        raise ShapeError(explain("heat ratio", heat.shape, mask.shape, "pass map and mask of the same units"))
    if not heat.size or not heat.max() > 0:
        return float("nan")
    heat = heat / heat.max()
    ratios = []
    for threshold in np.quantile(heat[heat >= least], THRESHOLDS):
        reached = heat >= threshold
        ratios.append(heat[reached & mask].sum() / heat[reached].sum())
    return float(np.trapezoid(ratios, THRESHOLDS))
