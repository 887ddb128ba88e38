"""How alike maps are, and how alike the ROI profiles they give."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import xarray as xr

from igc.stats.ranks import average_ranks
from igc.store.arrays import read_values

__all__ = ["ALL_TARGETS", "MEASURES", "agreement", "average_agreement", "map_agreement", "profile_agreement"]

Array = npt.NDArray[np.float64]

ALL_TARGETS = "all"
"""Value of the column ``target`` in rows that average over targets."""

MEASURES = ("pearson", "spearman", "cosine", "relative_difference", "top_overlap")
"""The measures of :func:`agreement`."""

_FISHER = ("pearson", "spearman", "cosine")


def _correlation(a: Array, b: Array) -> float:
    """Return the Pearson correlation, NaN where either is constant or fewer than three values are known."""
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    a, b = a - a.mean(), b - b.mean()
    return float(np.clip(a @ b / np.sqrt((a @ a) * (b @ b)), -1, 1))


def _top(values: Array, k: int) -> set[int]:
    """Return the k largest components by magnitude, fewer where fewer are non-zero."""
    magnitude = np.abs(values)
    order = np.argsort(-magnitude, kind="stable")[:k]
    return set(order[magnitude[order] > 0].tolist())


def agreement(a: npt.ArrayLike, b: npt.ArrayLike, top: float = 0.1) -> dict[str, float]:
    """Compare two maps.

    Parameters
    ----------
    a, b : array (component,)
        Two maps of the same target; components that are not finite in either are left out.
    top : float
        Share of the components that counts as the top.

    Returns
    -------
    dict of str to float
        ``pearson``, ``spearman`` and ``cosine``; ``relative_difference``, the norm of a − b over the root mean square
        of both norms (0 for equal maps, 2 for opposite ones, and meaningful only on a common scale);
        ``top_overlap``, the share of the top components by magnitude that both have. NaN where a map is constant.
    """
    x, y = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    norm_x, norm_y = float(np.linalg.norm(x)), float(np.linalg.norm(y))
    none = norm_x == 0 or norm_y == 0
    k = max(1, int(np.ceil(top * len(x))))
    top_x, top_y = _top(x, k), _top(y, k)
    scale = np.hypot(norm_x, norm_y) / np.sqrt(2)
    return {
        "pearson": _correlation(x, y),
        "spearman": _correlation(average_ranks(x), average_ranks(y)),
        "cosine": float("nan") if none else float(np.clip(x @ y / (norm_x * norm_y), -1, 1)),
        "relative_difference": float(np.linalg.norm(x - y) / scale) if scale > 0 else float("nan"),
        "top_overlap": float("nan") if none else len(top_x & top_y) / max(len(top_x), len(top_y)),
    }


def average_agreement(rows: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Average the measures of several targets.

    Parameters
    ----------
    rows : iterable of mapping
        Results of :func:`agreement`.

    Returns
    -------
    dict of str to float
        Correlations and cosines through the Fisher transform, the other measures plainly; NaN values are left out.
    """
    table = list(rows)
    average = {}
    for measure in MEASURES:
        values = np.array([row[measure] for row in table], dtype=np.float64)
        values = values[np.isfinite(values)]
        if measure in _FISHER:
            # equal maps have a correlation of 1, whose transform is infinite
            values = np.arctanh(np.clip(values, -1 + 1e-15, 1 - 1e-15))
        mean = float(values.mean()) if len(values) else float("nan")
        average[measure] = float(np.tanh(mean)) if measure in _FISHER else mean
    return average


def _common(a: xr.Dataset, b: xr.Dataset) -> list[tuple[Any, int, int]]:
    """Return the targets both results have, with their positions."""
    second = {target: i for i, target in enumerate(b["target"].values.tolist())}
    return [(t, i, second[t]) for i, t in enumerate(a["target"].values.tolist()) if t in second]


def _pair_flags(a: xr.Dataset, b: xr.Dataset) -> tuple[bool, bool]:
    """Return whether both maps are signed, and whether both are on the scale of the score."""
    signed = all(bool(result.attrs.get("signed", True)) for result in (a, b))
    return signed, all(bool(result.attrs.get("complete", False)) for result in (a, b))


def _row(a: Array, b: Array, signed: bool, same_scale: bool) -> dict[str, float]:
    """Compare two profiles: by magnitude where one has no sign, and by difference only on a common scale."""
    measures = agreement(a, b) if signed else agreement(np.abs(a), np.abs(b))
    return measures if same_scale else {**measures, "relative_difference": float("nan")}


def map_agreement(a: xr.Dataset, b: xr.Dataset) -> pd.DataFrame:
    """Compare the maps of two results, target by target.

    Parameters
    ----------
    a, b : xarray.Dataset
        Two attribution results of one study.

    Returns
    -------
    pandas.DataFrame
        A row for each target both have, and one of their average: ``target``, ``compared`` ("signed", or
        "magnitude" where a method has no sign), ``n`` components and the :data:`MEASURES`.
        ``relative_difference`` only where both methods sum to the score.
    """
    signed, same_scale = _pair_flags(a, b)
    targets = _common(a, b)
    rows = []
    for _, i, j in targets:
        maps = [read_values(x["attribution"][k]).astype(np.float64).reshape(-1) for x, k in ((a, i), (b, j))]
        rows.append({"n": maps[0].size, **_row(maps[0], maps[1], signed, same_scale)})
    return _table(rows, [target for target, _, _ in targets], signed)


def profile_agreement(a: xr.Dataset, b: xr.Dataset) -> pd.DataFrame:
    """Compare the ROI profiles of two results, set by set and target by target.

    Parameters
    ----------
    a, b : xarray.Dataset
        Two attribution results of one study.

    Returns
    -------
    pandas.DataFrame
        As :func:`map_agreement`, with the column ``set`` first; a profile is the attribution of every region and the
        rest, without those that are exactly 0 in both. Empty where either has no ROI sums.
    """
    columns = ("set", "target", "compared", "n", *MEASURES)
    if "roi_attribution" not in a or "roi_attribution" not in b:
        return pd.DataFrame(columns=list(columns))
    signed, same_scale = _pair_flags(a, b)
    targets = _common(a, b)
    rois, sets = a["roi"].values.tolist(), a["roi_set"].values.tolist()
    position = {roi: i for i, roi in enumerate(b["roi"].values.tolist())}
    sums_a, sums_b = (read_values(x["roi_attribution"]).astype(np.float64) for x in (a, b))
    tables = []
    for name in dict.fromkeys(sets):
        inside = [i for i, roi in enumerate(rois) if sets[i] == name and roi in position]
        other = [position[rois[i]] for i in inside]
        rows = []
        for _, i, j in targets:
            x, y = sums_a[i, inside], sums_b[j, other]
            used = (x != 0) | (y != 0)
            rows.append({"n": int(used.sum()), **_row(x[used], y[used], signed, same_scale)})
        table = _table(rows, [target for target, _, _ in targets], signed)
        table.insert(0, "set", name)
        tables.append(table)
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(columns))


def _table(rows: list[dict[str, float]], targets: list[Any], signed: bool) -> pd.DataFrame:
    """Return rows of targets with the row of their average."""
    n = max((int(row["n"]) for row in rows), default=0)
    table = pd.DataFrame([*rows, {"n": n, **average_agreement(rows)}], columns=["n", *MEASURES])
    table.insert(0, "target", [*targets, ALL_TARGETS])
    table.insert(1, "compared", "signed" if signed else "magnitude")
    return table
