"""How well maps recover a planted truth."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from igc.data.simulated import exact_covariance
from igc.errors import ShapeError, explain
from igc.store.arrays import read_values

__all__ = ["SUPPORT", "recovery", "recovery_table", "support_of", "weighted_sum_map"]

Array = npt.NDArray[np.float64]

SUPPORT = 0.1
"""Share of the largest planted weight above which a component belongs to the support: a Gaussian mask ends nowhere."""


def support_of(truth: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Return the components that a planted mask reaches.

    Parameters
    ----------
    truth : array (component...)
        Signed planted weights.

    Returns
    -------
    array (component...) of bool
        Where the magnitude exceeds :data:`SUPPORT` of its largest value.
    """
    magnitude = np.abs(np.asarray(truth, dtype=np.float64))
    return np.asarray(magnitude > SUPPORT * magnitude.max(initial=0.0))


def weighted_sum_map(mask: npt.ArrayLike) -> Array:
    """Return the exact map of experiment "weighted_sum" with its own rule as the model.

    For y = m·x, the integrated gradient correlation of pixel i is m_i (Cm)_i / m'Cm, C being the covariance of
    the pixels.

    Parameters
    ----------
    mask : array (row, column)
        The planted weights m, square.

    Returns
    -------
    array (row, column)
        It sums to 1, the correlation of the noise-free rule with the response.
    """
    m = np.asarray(mask, dtype=np.float64)
    # pixels are stationary on a torus, so C is circulant and acts by convolution
    product = np.real(np.fft.ifft2(np.fft.fft2(m) * np.fft.fft2(exact_covariance(m.shape[0]))))
    values = m * product
    return np.asarray(values / values.sum())


def recovery(values: npt.ArrayLike, truth: npt.ArrayLike, signed: bool = True) -> dict[str, float]:
    """Score one map against the planted truth.

    Parameters
    ----------
    values : array (component...)
        The map.
    truth : array (component...)
        Signed planted weights of the same target.
    signed : bool
        Whether the map has a meaningful sign.

    Returns
    -------
    dict of str to float
        ``auc`` and ``average_precision`` of the magnitude for the support; ``pearson`` with the signed truth (with
        its magnitude if the map has no sign); ``mass_inside``, the share of the magnitude inside the support;
        ``pointing_rank``, the rank by magnitude of the best component inside (1: the map points at the truth).
        NaN where not defined: no truth or all of it, a constant map, values that are not finite.

    Raises
    ------
    ShapeError
        If the shapes differ.
    """
    a, t = np.asarray(values, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if a.shape != t.shape:
        raise ShapeError(explain("recovery", f"a map of shape {a.shape}", t.shape, "compare results of this study"))
    a, t = a.reshape(-1), t.reshape(-1)
    magnitude, inside = np.abs(a), support_of(t)
    measures = dict.fromkeys(("auc", "average_precision", "pearson", "mass_inside", "pointing_rank"), float("nan"))
    if not np.all(np.isfinite(a)):
        return measures
    compared = (a, t) if signed else (magnitude, np.abs(t))
    if min(np.ptp(compared[0]), np.ptp(compared[1])) > 0:
        measures["pearson"] = float(np.corrcoef(*compared)[0, 1])
    if magnitude.sum() > 0:
        measures["mass_inside"] = float(magnitude[inside].sum() / magnitude.sum())
    if inside.any() and not inside.all():
        # slow to import, and few studies have a truth
        from sklearn.metrics import average_precision_score, roc_auc_score

        measures["auc"] = float(roc_auc_score(inside, magnitude))
        measures["average_precision"] = float(average_precision_score(inside, magnitude))
        measures["pointing_rank"] = 1.0 + float(np.sum(magnitude[~inside] >= magnitude[inside].max()))
    return measures


def recovery_table(result: xr.Dataset, truth: xr.DataArray, experiment: str | None = None) -> pd.DataFrame:
    """Score every map of a result against the planted truth of its target.

    Parameters
    ----------
    result : xarray.Dataset
        An attribution result.
    truth : xarray.DataArray (target, component...)
        Signed planted weights, with target names.
    experiment : str, optional
        Name of the simulated experiment; with ``"weighted_sum"`` the exact map is known.

    Returns
    -------
    pandas.DataFrame
        A row for each target that has a truth: ``target``, the measures of :func:`recovery`, and ``relative_error``:
        the norm of the difference to :func:`weighted_sum_map` over the norm of that, for methods that sum to the
        score.
    """
    known = truth["target"].values.tolist()
    rows = []
    for position, target in enumerate(result["target"].values.tolist()):
        if target not in known:
            continue
        planted = read_values(truth[known.index(target)]).astype(np.float64)
        values = read_values(result["attribution"][position]).astype(np.float64)
        row = {"target": target, **recovery(values, planted, bool(result.attrs.get("signed", True)))}
        row["relative_error"] = float("nan")
        if experiment == "weighted_sum" and result.attrs.get("complete") and planted.shape[0] == 1:
            exact = weighted_sum_map(planted[0])
            row["relative_error"] = float(np.linalg.norm(values[0] - exact) / np.linalg.norm(exact))
        rows.append(row)
    measures = ("auc", "average_precision", "pearson", "mass_inside", "pointing_rank", "relative_error")
    return pd.DataFrame(rows, columns=["target", *measures])
