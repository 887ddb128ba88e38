"""Which method to trust: ranks of all methods on all yardsticks, and their averages, at a glance."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from igc.comparison.criteria import RANDOM
from igc.comparison.ranking import FEWEST_BLOCKS, RANKED, SHOWN, Verdict, rank_methods
from igc.report.selection import method_label
from igc.report.style import GREY, INK, PALETTE, fit_text, header, new_figure, styled, text_width, unavailable

__all__ = ["verdict_figure"]

_LEFT, _TOP, _ROW, _COLUMN, _RIGHT = 0.3, 2.2, 0.235, 0.4, 2.5
_BEST = colormaps["Blues"]
_TITLES = {
    "truth_auc": "map AUC",
    "truth_pearson": "map correlation",
    "recovery": "sample AUC",
    "heat_ratio": "heat ratio",
    "deletion": "deletion",
    "insertion": "insertion",
    "sensitivity_n": "Sensitivity-N",
    "infidelity": "infidelity",
    "score_deletion": "score deletion",
    "roi_rank": "ROI deletion, rank",
    "roi_area": "ROI deletion, area",
    "remove_retrain": "remove and retrain",
    "keep_retrain": "keep and retrain",
    "randomization": "random weights",
    "map_split_half": "split half",
    "between_seeds": "between seeds",
    "baseline_seed": "seed of draws",
    "completeness_gap": "gap of the sum",
    "seconds": "run time",
    "peak_memory": "memory",
}


def _colour(rank: float) -> tuple[float, float, float, float]:
    """Return a colour from dark (best) to nearly white (worst), which is the same order in grey."""
    red, green, blue, alpha = _BEST(0.04 + 0.86 * (1 - rank))
    return red, green, blue, alpha


def _cells(axes: Axes, verdict: Verdict) -> None:
    """Draw the rank of each method on each yardstick, 0 the best of those judged together, 100 the worst."""
    values = verdict.cells.to_numpy(dtype=np.float64)
    for (i, k), rank in np.ndenumerate(values):
        if np.isnan(rank):
            axes.plot(k, i, marker=".", color="#bbbbbb", markersize=2)
            continue
        axes.add_patch(Rectangle((k - 0.48, i - 0.46), 0.96, 0.92, facecolor=_colour(rank), edgecolor="none"))
        ink = "white" if rank < 0.42 else INK
        axes.text(k, i, f"{100 * rank:.0f}", ha="center", va="center", size=7, color=ink)
    axes.set_xlim(-0.5, values.shape[1] - 0.5)
    axes.set_ylim(len(values) - 0.5, -0.5)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.tick_params(length=0)
    axes.xaxis.tick_top()
    names = [_TITLES.get(str(name), str(name)) for name in verdict.cells.columns]
    axes.set_xticks(range(len(names)), names, rotation=55, ha="left", rotation_mode="anchor", size=7.5)


def _families(axes: Axes, verdict: Verdict) -> None:
    """Name below the cells what their yardsticks ask, and part them by a line."""
    columns, n = [str(name) for name in verdict.cells.columns], len(verdict.cells)
    for name, metrics in {**RANKED, **SHOWN}.items():
        here = [k for k, column in enumerate(columns) if column in metrics]
        if not here:
            continue
        axes.plot([here[0] - 0.4, here[-1] + 0.4], [n - 0.25] * 2, color=INK, linewidth=0.8, clip_on=False)
        room = _COLUMN * len(here) - 0.04
        said = fit_text(name, max(room, 0.5), 7.6, lines=3)
        middle = (here[0] + here[-1]) / 2
        axes.text(middle, n - 0.05, said, ha="center", va="top", size=7.5, color="#555555", clip_on=False)


def _averages(axes: Axes, verdict: Verdict) -> None:
    """Draw average ranks with error bars, and the floor as a line."""
    methods = [str(name) for name in verdict.cells.index]
    rows = np.arange(len(methods))
    for row, method in zip(rows, methods, strict=True):
        colour = GREY if method == RANDOM else PALETTE[0]
        error = verdict.error[row]
        axes.errorbar(
            100 * verdict.average[row],
            row,
            xerr=100 * error if np.isfinite(error) else None,
            fmt="o",
            color=colour,
            markerfacecolor="white" if method == RANDOM or verdict.few[row] else colour,
            markersize=4,
            elinewidth=1.1,
            capsize=0,
        )
    if RANDOM in methods:
        axes.axvline(100 * verdict.average[methods.index(RANDOM)], color=GREY, linewidth=0.8, linestyle=(0, (4, 2)))
    axes.set_ylim(len(methods) - 0.5, -0.5)
    axes.set_xlim(-1.5, 101.5)
    axes.set_yticks(rows, [""] * len(rows))
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", color="#ececec", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("average rank (0: best, 100: worst)", size=8)


def _said(verdict: Verdict) -> str:
    """Say what the error bars are, and what may be concluded."""
    blocks = int(verdict.n_blocks.max())
    bars = "between models" if verdict.between_blocks else "from the errors of the yardsticks, within one model"
    few = "Hollow, at the end: judged by less than half of the yardsticks. " if verdict.few.any() else ""
    test = verdict.test
    if test is None:
        one = "1 model" if blocks == 1 else f"{blocks} models"
        told = f"{one} (over studies and seeds): too few with the same methods for a test of ranks ({FEWEST_BLOCKS})"
    else:
        rounded = (
            "p\N{NO-BREAK SPACE}<\N{NO-BREAK SPACE}0.001"
            if test.p < 0.001
            else f"p\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{test.p:.2g}"
        )
        shown = f"the critical difference is {test.difference:.1f} of {len(test.methods)} ranks (Nemenyi)"
        told = (
            f"Friedman's test of the {len(test.methods)} methods judged in all of {test.n_blocks} models: {rounded}; "
        )
        told += shown if test.p < 0.05 else "no method is told from another"
    return (
        "Rank among the methods judged together, 0 (dark): best, 100: worst; a dot: not judged. "
        f"Bars: 1 standard error {bars}. {few}{told}."
    )


@styled
def verdict_figure(summary: pd.DataFrame, title: str = "") -> Figure:
    """Draw methods against yardsticks, ranked, with average ranks and their errors.

    Parameters
    ----------
    summary : pandas.DataFrame
        As :func:`igc.comparison.summary.summary_table` returns it, of one study or several.
    title : str
        Name of the study, or of all.

    Returns
    -------
    matplotlib.figure.Figure
    """
    heading = f"{title} · which method to trust"
    verdict = rank_methods(summary) if len(summary) else None
    if verdict is None:
        return unavailable(heading, "Fewer than three methods were judged by the same yardstick.")
    names = [method_label(str(name)) for name in verdict.cells.index]
    if RANDOM in verdict.cells.index:
        names[list(verdict.cells.index).index(RANDOM)] = "random (the floor)"
    room = min(max(text_width(name, 8.1) for name in names), 2.2) + 0.12
    wide, tall = _COLUMN * verdict.cells.shape[1], _ROW * len(names)
    full, height = max(7.2, _LEFT + room + wide + _RIGHT + 1.65), _TOP + tall + 0.75
    figure = new_figure(full, height)
    header(figure, heading, _said(verdict), left=_LEFT)
    bottom = 1 - (_TOP + tall) / height
    cells = figure.add_axes(((_LEFT + room) / full, bottom, wide / full, tall / height), label="cells")
    _cells(cells, verdict)
    cells.set_yticks(range(len(names)), [fit_text(name, room - 0.1, 8.1) for name in names], size=8)
    _families(cells, verdict)
    left = _LEFT + room + wide + 0.3
    averages = figure.add_axes((left / full, bottom, (full - left - 1.15) / full, tall / height), label="averages")
    _averages(averages, verdict)
    for row, count in enumerate(verdict.n_blocks):
        averages.text(103, row, f"{count:.0f}", size=7, va="center", color="#555555", clip_on=False)
    averages.text(101, -0.75, "models", size=7, va="bottom", color="#555555", clip_on=False)
    _tested(averages, verdict)
    return figure


def _tested(axes: Axes, verdict: Verdict) -> None:
    """Say of each method in the test whether it is told from the best."""
    test = verdict.test
    if test is None or test.p >= 0.05:
        return
    axes.text(118, -0.75, "test", size=7, va="bottom", color="#555555", clip_on=False)
    for row, method in enumerate(map(str, verdict.cells.index)):
        if method in test.methods:
            said, colour = ("worse", PALETTE[1]) if method in test.worse else ("best group", INK)
            axes.text(118, row, said, size=7, va="center", color=colour, clip_on=False)
