"""How alike the maps are, whether they add up, and what they cost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from igc.comparison.agreement import ALL_TARGETS
from igc.comparison.closure import CLOSED, ERRORS_ALLOWED
from igc.report.selection import method_label, model_labels
from igc.report.style import (
    DIVERGING,
    GREY,
    INK,
    PALETTE,
    fit_text,
    header,
    new_figure,
    number,
    styled,
    text_width,
    unavailable,
)

__all__ = ["agreement_figure", "agreement_matrix", "diagnostics_figure"]

Floats = npt.NDArray[np.float64]
Key = tuple[str, str]

_LEFT = 0.3
_BAND = "#e8eef4"
_NUMBERS_UP_TO = 16
"""Largest matrix whose cells have room for numbers."""


def agreement_matrix(table: pd.DataFrame, measure: str = "pearson") -> tuple[list[Key], Floats]:
    """Turn the rows of pairs into a matrix.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns model_a, method_a, model_b, method_b, target and the measure; the rows that average over targets are
        used.
    measure : str
        The column.

    Returns
    -------
    keys : list of (str, str)
        Model and method of each row, by method, IGC first.
    matrix : array (row, row)
        Symmetric, 1 on the diagonal, NaN where a pair is missing.
    """
    rows = table[table["target"].astype(str) == ALL_TARGETS]
    first = list(zip(rows["model_a"], rows["method_a"], strict=True))
    second = list(zip(rows["model_b"], rows["method_b"], strict=True))
    keys = sorted(dict.fromkeys([*first, *second]), key=lambda key: (key[1] != "igc", key[1]))
    position = {key: k for k, key in enumerate(keys)}
    matrix = np.full((len(keys), len(keys)), np.nan)
    np.fill_diagonal(matrix, 1.0)
    for a, b, value in zip(first, second, rows[measure].to_numpy(dtype=np.float64), strict=True):
        matrix[position[a], position[b]] = matrix[position[b], position[a]] = value
    return keys, matrix


def _row_labels(keys: Sequence[Key]) -> list[str]:
    models = model_labels(model for model, _ in keys)
    return [f"{method_label(method)} · {models[model]}" for model, method in keys]


def _write_cells(axes: Axes, matrix: Floats) -> None:
    for row, column in np.argwhere(np.isfinite(matrix)):
        value = matrix[row, column]
        text = f"{value:.2f}".replace("-", "\N{MINUS SIGN}")
        axes.text(column, row, text, ha="center", va="center", size=7, color="white" if abs(value) > 0.65 else INK)


@styled
def agreement_figure(table: pd.DataFrame, title: str = "") -> Figure:
    """Draw how alike the maps of all models and methods are.

    Parameters
    ----------
    table : pandas.DataFrame
        All pairs of results, as :mod:`igc.comparison` tabulates them.
    title : str
        Name of the study.

    Returns
    -------
    matplotlib.figure.Figure
        Pearson correlations below the diagonal, Spearman rank correlations above it.
    """
    heading = f"{title} · agreement of maps"
    keys, pearson = agreement_matrix(table, "pearson") if len(table) else ([], np.zeros((0, 0)))
    if len(keys) < 2:
        return unavailable(heading, "There is only one map in this study, and nothing to compare it with.")
    _, spearman = agreement_matrix(table, "spearman")
    matrix = np.where(np.triu(np.ones_like(pearson)) > 0, spearman, pearson)
    labels = _row_labels(keys)
    room = min(max(text_width(label, 8.1) for label in labels), 2.8) + 0.12
    cell = 0.46 if len(keys) <= _NUMBERS_UP_TO else max(0.16, 7.4 / len(keys))
    side = cell * len(keys)
    full = max(6.6, _LEFT + room + side + 1.2)
    height = 1.1 + side + room * 0.78 + 0.25
    figure = new_figure(full, height)
    subtitle = "Mean over targets. Below the diagonal: Pearson correlation; above: Spearman rank correlation."
    if (table["compared"] == "magnitude").any():
        subtitle += " Methods without a sign are compared by magnitude."
    header(figure, heading, subtitle, left=_LEFT)
    place = ((_LEFT + room) / full, 1 - (1.1 + side) / height, side / full, side / height)
    axes = figure.add_axes(place, label="agreement")
    np.fill_diagonal(matrix, np.nan)
    axes.set_facecolor("#ececec")
    shown = axes.imshow(matrix, cmap=DIVERGING, vmin=-1, vmax=1)
    size = 8 if cell >= 0.2 else 5
    fitted = [fit_text(label, room - 0.1, 8.1) for label in labels]
    axes.set_yticks(range(len(keys)), fitted, size=size)
    axes.set_xticks(range(len(keys)), fitted, size=size, rotation=50, ha="right", rotation_mode="anchor")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xticks(np.arange(len(keys) - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(len(keys) - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.2)
    axes.tick_params(which="minor", length=0)
    if len(keys) <= _NUMBERS_UP_TO:
        _write_cells(axes, matrix)
    bar_high = min(side, 1.8)
    bar = figure.add_axes(
        ((_LEFT + room + side + 0.2) / full, 1 - (1.1 + bar_high) / height, 0.1 / full, bar_high / height)
    )
    figure.colorbar(shown, cax=bar, ticks=[-1, 0, 1]).set_label("correlation of maps", size=8)
    return figure


# --- does it add up, what does it cost ------------------------------------------------------------------------------


def _closure(axes: Axes, closure: pd.DataFrame, keys: Sequence[Key]) -> None:
    """Draw gaps before closure in standard errors, one dot a target, over the band that is allowed."""
    reach = 6.0
    axes.axvspan(-ERRORS_ALLOWED, ERRORS_ALLOWED, color=_BAND, zorder=0, linewidth=0)
    axes.axvline(0, color=GREY, linewidth=0.8, zorder=1)
    for k, (model, method) in enumerate(keys):
        rows = closure[(closure["model"] == model) & (closure["method"] == method)]
        gap, error = (rows[name].to_numpy(dtype=np.float64) for name in ("gap", "gap_se"))
        # an error of rounding is no yardstick: gaps as small as it are closed, whatever their ratio
        sampled = np.isfinite(gap) & (error > CLOSED / ERRORS_ALLOWED)
        if sampled.any():
            ratio = gap[sampled] / error[sampled]
            reach = max(reach, float(np.abs(ratio).max()) * 1.15)
            inside = np.abs(ratio) <= ERRORS_ALLOWED
            axes.scatter(ratio[inside], np.full(inside.sum(), k), s=18, color=PALETTE[0], alpha=0.7, linewidths=0)
            axes.scatter(ratio[~inside], np.full((~inside).sum(), k), s=26, color=PALETTE[1], marker="X", linewidths=0)
        elif np.isfinite(gap).any():
            said = f"largest gap {number(float(np.nanmax(np.abs(gap))))} (no sampling error)"
            axes.text(0, k, said, size=7.5, ha="center", va="center", color="#444444", backgroundcolor=_BAND)
        else:
            axes.text(0, k, "n/a", size=7.5, ha="center", va="center", color=GREY, backgroundcolor=_BAND)
    axes.set_xlim(-reach, reach)
    if reach > 40:
        axes.set_xscale("symlog", linthresh=ERRORS_ALLOWED)
        outer = 10.0 ** np.floor(np.log10(reach))
        ticks = [-outer, -ERRORS_ALLOWED, 0, ERRORS_ALLOWED, outer]
        axes.set_xticks(ticks, [number(tick) for tick in ticks])
        axes.tick_params(axis="x", which="minor", length=0)
    axes.set_xlabel("gap before closure, in standard errors")
    axes.text(
        0, 1.0, f"allowed: ±{ERRORS_ALLOWED:g}", size=8, ha="center", va="bottom", transform=axes.get_xaxis_transform()
    )


def _cost(axes: Axes, runtime: pd.DataFrame, keys: Sequence[Key]) -> None:
    """Draw run times on a logarithmic axis, with the number of gradient points a sample."""
    seconds = np.full(len(keys), np.nan)
    for k, (model, method) in enumerate(keys):
        rows = runtime[(runtime["model"] == model) & (runtime["method"] == method)]
        seconds[k] = float(rows["seconds"].iloc[0]) if len(rows) else np.nan
        points = float(rows["evaluations_per_sample"].iloc[0]) if len(rows) else np.nan
        if seconds[k] > 0:
            said = f"{seconds[k]:.2g} s" if seconds[k] < 100 else f"{seconds[k]:.0f} s"
            said += f", {points:.2g} point{'s' if points != 1 else ''}/sample" if points > 0 else ""
            axes.annotate(
                said, (seconds[k], k), (6, 0), textcoords="offset points", size=7.5, va="center", color="#444444"
            )
    known = seconds > 0
    if not known.any():
        axes.text(0.5, 0.5, "no run times recorded", transform=axes.transAxes, ha="center", size=8, color=GREY)
        return
    low, high = float(seconds[known].min()), float(seconds[known].max())
    start = 10.0 ** np.floor(np.log10(low) - 0.3)
    axes.hlines(np.flatnonzero(known), start, seconds[known], color=PALETTE[0], linewidth=2.0)
    axes.plot(seconds[known], np.flatnonzero(known), "o", color=PALETTE[0], markersize=4.5)
    axes.set_xscale("log")
    axes.set_xlim(start, high * (high / start) ** 0.95)
    powers = [10.0**k for k in range(round(np.log10(start)), int(np.ceil(np.log10(high))) + 1)]
    axes.set_xticks(powers, [f"{power:g}" for power in powers])
    axes.tick_params(axis="x", which="minor", length=0)
    axes.set_xlabel("run time in seconds")


def _recovery(axes: Axes, recovery: pd.DataFrame, keys: Sequence[Key]) -> None:
    """Draw the correlation of maps with the planted truth, one dot a target."""
    for k, (model, method) in enumerate(keys):
        rows = recovery[(recovery["model"] == model) & (recovery["method"] == method)]
        values = rows["pearson"].to_numpy(dtype=np.float64)
        axes.scatter(values, np.full(len(values), k), s=22, color=PALETTE[2], alpha=0.8, linewidths=0)
    axes.set_xlim(min(0.0, float(np.nanmin(recovery["pearson"], initial=0.0)) - 0.05), 1.04)
    axes.set_xlabel("correlation with planted truth")


@styled
def diagnostics_figure(
    closure: pd.DataFrame, runtime: pd.DataFrame, title: str = "", recovery: pd.DataFrame | None = None
) -> Figure:
    """Draw whether maps sum to the score before they are made to, what they cost, and how well they find the truth.

    Parameters
    ----------
    closure : pandas.DataFrame
        Columns model, method, target, gap, gap_se: see :func:`igc.comparison.closure.closure_table`.
    runtime : pandas.DataFrame
        Columns model, method, seconds, evaluations_per_sample.
    title : str
        Name of the study.
    recovery : pandas.DataFrame, optional
        Columns model, method, target, pearson, where the truth is known.

    Returns
    -------
    matplotlib.figure.Figure
    """
    heading = f"{title} · checks and cost"
    pairs = dict.fromkeys(zip(closure["model"], closure["method"], strict=True))
    keys = sorted(pairs, key=lambda key: (key[1] != "igc", key[1]))
    if not keys:
        return unavailable(heading, "There is no attribution in this study.")
    labels = _row_labels(keys)
    room = min(max(text_width(label, 8.1) for label in labels), 2.8) + 0.12
    widths = [3.1, 3.1, *([2.2] if recovery is not None else [])]
    full = _LEFT + room + sum(widths) + 0.3 * len(widths) + 0.15
    tall = 0.3 * len(keys) + 0.1
    height = 1.28 + tall + 0.6
    figure = new_figure(full, height)
    subtitle = (
        "Left: sum of each raw map minus the score, one dot a target; crosses lie outside the allowed band. "
        "Maps are then closed to the score. n/a: the method does not promise to sum to it."
    )
    header(figure, heading, subtitle, left=_LEFT)
    left = _LEFT + room
    panels = []
    for k, width in enumerate(widths):
        place = (left / full, 0.6 / height, width / full, tall / height)
        axes = figure.add_axes(place, label=("closure", "runtime", "recovery")[k])
        axes.set_ylim(len(keys) - 0.4, -0.6)
        axes.set_yticks(range(len(keys)), [fit_text(label, room - 0.1, 8.1) for label in labels] if k == 0 else [])
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        panels.append(axes)
        left += width + 0.3
    _closure(panels[0], closure, keys)
    _cost(panels[1], runtime, keys)
    if recovery is not None:
        _recovery(panels[2], recovery, keys)
    return figure
