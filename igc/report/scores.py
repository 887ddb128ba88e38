"""How well the models predict: dots for every target and model, small dots for folds."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from igc.report.selection import model_labels
from igc.report.style import GREY, INK, PALETTE, fit_text, header, name_row, new_figure, styled, text_width, unavailable

__all__ = ["MARKERS", "MAX_ROWS", "score_figure"]

MAX_ROWS = 24
"""Largest number of targets that get a row of their own."""
MARKERS = ("o", "s", "D", "^", "v", "P")
"""A shape for each model beside its colour, for readers who see no colours."""
MEAN = "mean over targets"
"""Name of the row below the targets."""
CEILING = "noise_ceiling"
_LEFT, _ROW = 0.3, 0.27


def _values(table: pd.DataFrame, metric: str, target: str) -> tuple[float, npt.NDArray[np.float64]]:
    """Return the mean over folds and the values of the folds."""
    rows = table[(table["metric"] == metric) & (table["target"].astype(str) == target)]
    folds = rows["fold"].astype(str)
    mean = rows.loc[folds == "mean", "value"].to_numpy(dtype=np.float64)
    single = rows.loc[~folds.isin(["mean", "pooled"]), "value"].to_numpy(dtype=np.float64)
    return (float(mean[0]) if len(mean) else float("nan")), single


def _chosen(scores: Mapping[str, pd.DataFrame]) -> tuple[list[str], str]:
    """Return the targets that are shown, and a note where there are more."""
    tables = [table[table["metric"] == "correlation"] for table in scores.values()]
    names = list(dict.fromkeys(str(name) for table in tables for name in table["target"]))
    names = [name for name in names if name != "all"]
    if len(names) <= MAX_ROWS:
        return names, ""
    mean = {
        name: np.mean([np.nan_to_num(_values(t, "correlation", name)[0], nan=-2.0) for t in tables]) for name in names
    }
    best = set(sorted(names, key=lambda name: -mean[name])[:MAX_ROWS])
    return [name for name in names if name in best], f"The {MAX_ROWS} best predicted of {len(names)} targets are shown."


def _with_mean(table: pd.DataFrame) -> pd.DataFrame:
    """Add the mean of correlations over all targets, fold by fold."""
    rows = table[table["metric"] == "correlation"]
    mean = rows.groupby("fold", as_index=False, sort=False)["value"].mean()
    joined: pd.DataFrame = pd.concat([table, mean.assign(metric="correlation", target=MEAN)], ignore_index=True)
    return joined


def _row(axes: Axes, y: float, m: int, value: float, folds: npt.NDArray[np.float64]) -> None:
    colour = PALETTE[m % len(PALETTE)]
    if len(folds) > 1:
        axes.scatter(folds, np.full(len(folds), y), s=9, color=colour, alpha=0.45, linewidths=0, zorder=2)
    axes.scatter([value], [y], s=34, marker=MARKERS[m % len(MARKERS)], color=colour, edgecolors="white", zorder=3)


def _panel(
    axes: Axes, scores: Mapping[str, pd.DataFrame], metric: str, targets: list[str], room: float, label: str
) -> None:
    """Draw one row a target with one dot a model, and write the values to the right."""
    count = len(scores)
    for k, target in enumerate(targets):
        axes.axhline(k, color="#e6e6e6", linewidth=0.8, zorder=0)
        if target == MEAN:
            axes.axhline(k - 0.5, color=INK, linewidth=0.6, zorder=0)
        for m, table in enumerate(scores.values()):
            value, folds = _values(table, metric, target)
            if np.isfinite(value):
                _row(axes, k + (m - (count - 1) / 2) * min(0.24, 0.7 / count), m, value, folds)
    axes.set_ylim(len(targets) - 0.4, -0.6)
    axes.set_yticks(range(len(targets)), [fit_text(name, room, 8.1) for name in targets])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(label)


def _numbers(figure: Figure, axes: Axes, scores: Mapping[str, pd.DataFrame], metric: str, targets: list[str]) -> None:
    """Write a table of the means beside the dots, one column a model in its colour."""
    width = float(figure.get_size_inches()[0]) * axes.get_position().width
    for m, table in enumerate(scores.values()):
        x = 1 + (0.42 + 0.42 * m) / width
        for k, target in enumerate(targets):
            value, _ = _values(table, metric, target)
            text = f"{value:.3f}".replace("-", "\N{MINUS SIGN}") if np.isfinite(value) else "n/a"
            axes.text(
                x,
                k,
                text,
                transform=axes.get_yaxis_transform(),
                size=7.5,
                ha="right",
                va="center",
                color=PALETTE[m % len(PALETTE)],
            )


def _ceilings(axes: Axes, scores: Mapping[str, pd.DataFrame], targets: list[str]) -> None:
    """Mark the largest correlation that the noise of measured responses leaves possible."""
    table = next(iter(scores.values()))
    for k, target in enumerate(targets):
        ceiling, _ = _values(table, CEILING, target)
        if np.isfinite(ceiling):
            axes.plot([np.sqrt(ceiling / 100)] * 2, [k - 0.38, k + 0.38], color=INK, linewidth=1.4, zorder=2)


def _limits(axes: Axes, scores: Mapping[str, pd.DataFrame], metric: str, chance: float | None) -> None:
    """Give the axis room for all values, zero (or chance) and one, without hiding bad scores."""
    values = np.concatenate(
        [table.loc[table["metric"] == metric, "value"].to_numpy(dtype=np.float64) for table in scores.values()]
    )
    low = float(np.nanmin(values, initial=1.0))
    axes.set_xlim(low - 0.03 if low < 0 else 0.0, 1.02)
    if low < 0:
        axes.axvline(0, color=GREY, linewidth=0.8, zorder=1)
    if chance is not None:
        axes.axvline(chance, color=INK, linewidth=1.0, linestyle=(0, (4, 2)), zorder=1)
        axes.text(chance, 1.02, f"chance {chance:.3g}", transform=axes.get_xaxis_transform(), size=8, ha="center")


@styled
def score_figure(scores: Mapping[str, pd.DataFrame], title: str = "", categories: int | None = None) -> Figure:
    """Draw the scores of all models on held-out samples.

    Parameters
    ----------
    scores : mapping of str to pandas.DataFrame
        By folder name of the model: columns fold, target, metric, value.
    title : str
        Name of the study.
    categories : int, optional
        Number of categories, which gives the chance level of the accuracy.

    Returns
    -------
    matplotlib.figure.Figure
        Correlations by target, and below them the accuracy where there is one.
    """
    heading = f"{title} · scores on held-out samples"
    targets, note = _chosen(scores) if scores else ([], "")
    noisy = any((table["metric"] == CEILING).any() for table in scores.values())
    # the mean over measured targets would be one over noise, too
    if len(targets) > 1 and not noisy:
        scores = {model: _with_mean(table) for model, table in scores.items()}
        targets = [*targets, MEAN]
    if not targets:
        return unavailable(heading, "No model has scores.")
    accuracy = any((table["metric"] == "accuracy").any() for table in scores.values())
    labels = model_labels(scores)
    room = min(max(text_width(name, 8.1) for name in [*targets, "all"]), 2.6)
    numbers = 0.42 * len(scores) + 0.1
    panel = 4.6
    full = max(6.6, 2 * _LEFT + room + 0.15 + panel + numbers)
    row = max(_ROW, 0.15 * len(scores))
    tall, low = row * len(targets) + 0.15, 0.55 + (0.2 if note else 0)
    extra = row + 0.15 + 0.95 if accuracy else 0.0
    height = 1.22 + tall + extra + low
    figure = new_figure(full, height)
    left = _LEFT + room + 0.15
    wide = full - left - numbers - _LEFT
    subtitle = "Pearson correlation of outputs with responses. Large marks: mean over folds; small dots: folds."
    if noisy:
        subtitle = f"{subtitle} Medians over the targets of a region. Bars: root of the noise ceiling."
    header(figure, heading, subtitle, left=_LEFT)
    fills = [(labels[model], PALETTE[m % len(PALETTE)], "") for m, model in enumerate(scores)]
    name_row(figure, fills, full - _LEFT, 1.0)
    upper = figure.add_axes((left / full, (low + extra) / height, wide / full, tall / height), label="correlation")
    _panel(upper, scores, "correlation", targets, room, "correlation r")
    _limits(upper, scores, "correlation", None)
    if noisy:
        _ceilings(upper, scores, targets)
    _numbers(figure, upper, scores, "correlation", targets)
    if accuracy:
        lower = figure.add_axes((left / full, low / height, wide / full, (row + 0.15) / height), label="accuracy")
        _panel(lower, scores, "accuracy", ["all"], room, "accuracy")
        _limits(lower, scores, "accuracy", 1 / categories if categories else None)
        _numbers(figure, lower, scores, "accuracy", ["all"])
    if note:
        figure.text(_LEFT / full, 0.12 / height, note, size=8, style="italic", color="#444444")
    return figure
