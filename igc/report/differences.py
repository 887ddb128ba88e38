"""Where a network uses information that a linear model cannot: differences of their ROI sums, with intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from igc.report.selection import MAIN_METHOD
from igc.report.style import GREY, INK, PALETTE, fit_text, header, new_figure, number, styled, unavailable

__all__ = ["MAX_PANELS", "difference_figure", "said_of"]

MAX_PANELS = 12
"""Largest number of targets that get a panel, those that the network predicts best."""
MAX_REGIONS = 12
"""Largest number of regions in a panel, those with the largest differences."""
_ACROSS, _NAMED = 4, 3
_LEFT, _NAMES, _WIDE, _ROW, _GAP, _BETWEEN = 0.3, 1.5, 1.95, 0.2, 0.28, 0.72
_LINES, _LINE, _TOP = 6, 0.145, 0.62
_LEVEL = 0.05


def _chosen(table: pd.DataFrame) -> pd.DataFrame:
    """Keep one pair of models, with IGC of the network where it is there, and the set of most regions."""
    best = table[table["method"] == MAIN_METHOD]
    table = best if len(best) else table
    first = table.iloc[0]
    keys = ["model", "method", "linear_model", "linear_method"]
    pair = table[np.logical_and.reduce([table[key] == first[key] for key in keys])]
    counts = pair.groupby("set", sort=False)["roi"].nunique()
    return pair[pair["set"] == counts.idxmax()]


def _listed(rows: pd.DataFrame, several: bool) -> str:
    """Name the regions with the largest differences, with their intervals."""
    order = rows["difference"].abs().sort_values(ascending=False, kind="stable").index
    parts = []
    for row in rows.loc[order[:_NAMED]].to_dict("records"):
        name = f"{row['roi']} for {row['target']}" if several else str(row["roi"])
        low, high = number(float(row["ci_low"])), number(float(row["ci_high"]))
        parts.append(f"{name} ({number(float(row['difference']))}, {low} to {high})")
    left = len(rows) - len(parts)
    return "; ".join(parts) + (f"; and {left} more" if left > 0 else "")


def said_of(rows: pd.DataFrame) -> str:
    """Say in words where the network and the linear model differ.

    Parameters
    ----------
    rows : pandas.DataFrame
        Of one pair of models and one ROI set, from :func:`igc.comparison.linear.deep_against_linear`.

    Returns
    -------
    str
        Sentences; differences with q < 0.05 count.
    """
    known = rows[rows["q"].notna()]
    told = known[known["q"] < _LEVEL]
    several = rows["target"].nunique() > 1
    if known.empty:
        return "Errors of the differences are not known."
    if told.empty:
        return f"In none of {len(known)} comparisons is the network told from the linear model (q < {_LEVEL:g})."
    more, less = told[told["difference"] > 0], told[told["difference"] < 0]
    said = []
    if len(more):
        said.append(f"The network gets more from {_listed(more, several)}.")
    if len(less):
        said.append(f"The linear model gets more from {_listed(less, several)}.")
    left = len(known) - len(told)
    return " ".join([*said, f"The other {left} of {len(known)} are not told apart." if left else "All are told apart."])


def _regions(rows: pd.DataFrame) -> list[int]:
    """Return the indices of the regions that are shown, in the order of the set with the rest last."""
    size = rows.groupby("index")["difference"].apply(lambda one: one.abs().max()).sort_values(ascending=False)
    return sorted(map(int, size.index[:MAX_REGIONS]), key=lambda index: index if index > 0 else np.inf)


def _panel(axes: Axes, rows: pd.DataFrame, indices: Sequence[int]) -> None:
    placed = rows.set_index("index").reindex(np.asarray(indices))
    for place, row in enumerate(placed.to_dict("records")):
        low, high, value = (float(row[name]) for name in ("ci_low", "ci_high", "difference"))
        sure = row["q"] < _LEVEL
        colour = (PALETTE[0] if value > 0 else PALETTE[1]) if sure else GREY
        if np.isfinite(low):
            axes.plot([low, high], [place, place], color=colour, linewidth=1.3, solid_capstyle="butt")
        face = colour if sure else "white"
        axes.plot(value, place, marker="o", markersize=4.2, color=colour, markerfacecolor=face)
    axes.axvline(0, color=INK, linewidth=0.7)
    axes.set_ylim(len(indices) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=7.5)
    axes.locator_params(axis="x", nbins=4)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color=GREY, alpha=0.25, linewidth=0.5)
    axes.set_axisbelow(True)


def _best(rows: pd.DataFrame) -> list[str]:
    """Return the targets that are shown, in their own order."""
    scores = rows.groupby("target", sort=False)["network_score"].first()
    best = set(scores.sort_values(ascending=False, kind="stable").index[:MAX_PANELS])
    return [str(target) for target in scores.index if target in best]


@styled
def difference_figure(table: pd.DataFrame, title: str = "") -> Figure:
    """Draw, for each target, what regions add to the score of a network beyond what they add to a linear model's.

    Parameters
    ----------
    table : pandas.DataFrame
        Table of :func:`igc.comparison.linear.deep_against_linear` with the columns ``model``, ``method``,
        ``linear_model`` and ``linear_method``; the first pair with IGC, and its set of most regions, are shown.
    title : str
        Name of the study.

    Returns
    -------
    matplotlib.figure.Figure
        A note instead where the table is empty.
    """
    heading = f"{title} · network minus linear model"
    if table.empty:
        return unavailable(heading, "No linear model stands beside a network here, on the same ROI sets.")
    rows = _chosen(table.astype({"target": str}))
    targets, indices = _best(rows), _regions(rows)
    across = min(_ACROSS, len(targets))
    down, tall = -(-len(targets) // across), _ROW * len(indices)
    width = max(_LEFT + _NAMES + across * (_WIDE + _GAP), 7.4)
    one = rows.iloc[0]
    what = (
        f"Sums over regions of {one['set']}: {one['model']} ({one['method']}) minus {one['linear_model']} "
        f"({one['linear_method']}), in units of correlation, with 95 % intervals; filled: q < {_LEVEL:g}."
    )
    said = [fit_text(text, width - 2 * _LEFT, size, _LINES) for text, size in ((what, 8.6), (said_of(rows), 9.2))]
    top = _TOP + _LINE * sum(text.count("\n") + 1 for text in said)
    height = top + down * (tall + _BETWEEN) + 0.1
    figure = new_figure(width, height)
    header(figure, heading, left=_LEFT)
    figure.text(_LEFT / width, 1 - 0.41 / height, said[0], size=8.5, color="#555555", va="top")
    below = 0.46 + _LINE * (said[0].count("\n") + 1)
    figure.text(_LEFT / width, 1 - below / height, said[1], size=9, va="top")
    first: Axes | None = None
    for k, target in enumerate(targets):
        i, j = divmod(k, across)
        left, upper = _LEFT + _NAMES + j * (_WIDE + _GAP), top + i * (tall + _BETWEEN) + 0.36
        place = (left / width, 1 - (upper + tall) / height, _WIDE / width, tall / height)
        # one scale for all targets, so that a small difference looks small
        axes = figure.add_axes(place, sharex=first, label=target)
        first = first or axes
        here = rows[rows["target"] == target]
        _panel(axes, here, indices)
        names = here.drop_duplicates("index").set_index("index")["roi"].astype(str).reindex(indices)
        labels = [fit_text(name, _NAMES - 0.12, 8.6) for name in names] if j == 0 else [""] * len(indices)
        axes.set_yticks(range(len(indices)), labels, size=8.5)
        scores = (round(float(here[name].iloc[0]), 2) + 0.0 for name in ("network_score", "linear_score"))
        deep, linear = (f"{score:.2f}".replace("-", "\N{MINUS SIGN}") for score in scores)
        axes.set_title(fit_text(target, _WIDE, 9), size=9, weight="bold", loc="left", pad=13)
        axes.text(0, 1.02, f"r = {deep}, linear {linear}", transform=axes.transAxes, size=7.5, color="#555555")
    return figure
