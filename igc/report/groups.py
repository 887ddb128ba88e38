"""Bars of the regions of a group: its mean, and every subject beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from igc.report.style import GREY, INK, fit_text, header, new_figure, styled, text_width
from igc.roi.groups import power_note
from igc.roi.sets import PALETTE, REST, REST_COLOR

__all__ = ["MOST_TARGETS", "group_figure"]

Array = npt.NDArray[np.float64]

MOST_TARGETS = 3
"""Targets that get a column of their own, the best predicted."""
_MARKERS = "osD^vP*X<>ph"
_TOTAL = "#6e6e6e"
_LEFT, _GAP, _TALL, _NAMES, _TOP, _BOTTOM = 0.75, 0.3, 1.9, 1.25, 1.1, 0.55


def _totals(subjects: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the sum over a set of every subject (row) and target (column)."""
    inside = subjects[subjects["set"] == name]
    return inside.pivot_table(index="subject", columns="target", values="attribution", aggfunc="sum", sort=False)


def _targets(subjects: pd.DataFrame) -> tuple[list[str], str]:
    """Return the targets that are shown, and a note if others are not."""
    means = _totals(subjects, subjects["set"].iloc[0]).mean()
    names = list(means.index)
    if len(names) <= MOST_TARGETS:
        return names, ""
    best = set(means.nlargest(MOST_TARGETS).index)
    return [name for name in names if name in best], f"The {MOST_TARGETS} best of {len(names)} targets are shown. "


def _bars(axes: Axes, values: Array, colours: Sequence[str], stars: Sequence[bool]) -> None:
    """Draw means over subjects (subject, bar) with their standard deviation, and every subject as a mark."""
    n_subjects, n_bars = values.shape
    known = np.isfinite(values)
    count = known.sum(axis=0)
    mean = np.where(known, values, 0).sum(axis=0) / np.maximum(count, 1)
    spread = np.sqrt(np.where(known, (values - mean) ** 2, 0).sum(axis=0) / np.maximum(count - 1, 1))
    places = np.array([*range(n_bars - 1), n_bars - 0.6])
    axes.bar(places, mean, 0.74, color=[*colours, _TOTAL], alpha=0.75, edgecolor=[*colours, _TOTAL], linewidth=0.8)
    several = count > 1
    axes.errorbar(
        places[several], mean[several], spread[several], fmt="none", elinewidth=1.0, capsize=2.0, ecolor=INK, zorder=4
    )
    for k in range(n_subjects):
        shift = 0.0 if n_subjects == 1 else 0.5 * (k / (n_subjects - 1) - 0.5)
        marker = _MARKERS[k % len(_MARKERS)]
        axes.scatter(
            places + shift, values[k], s=13, marker=marker, facecolor="white", edgecolor=INK, linewidth=0.7, zorder=5
        )
    top = float(np.nanmax(np.concatenate([values.ravel(), mean + spread])))
    for place in places[:-1][np.asarray(stars, dtype=bool)]:
        axes.text(place, top * 1.02, "*", ha="center", va="bottom", size=10)
    if any(stars):
        # room for stars below the title of the panel
        axes.update_datalim([(0, top * 1.12)])
        axes.autoscale_view()
    axes.axhline(0, color=INK, linewidth=0.7)
    axes.axvline(n_bars - 1.3, color=GREY, linewidth=0.7, linestyle=(0, (2, 2)))
    axes.spines["bottom"].set_visible(False)
    axes.tick_params(axis="x", length=0, pad=3)
    axes.set_xlim(-0.6, n_bars - 0.1)


def _named(rows: pd.DataFrame) -> list[str]:
    """Return the names of regions, with the number of subjects where some lack one."""
    most = rows["subjects"].max()
    return [one if n == most else f"{one} (n={n})" for one, n in zip(rows["roi"], rows["subjects"], strict=True)]


def _panel(
    axes: Axes, subjects: pd.DataFrame, table: pd.DataFrame, chosen: tuple[str, str], colours: Mapping[str, str]
) -> None:
    name, target = chosen
    rows = table[(table["set"] == name) & (table["target"] == target)]
    regions = rows["roi"].tolist()
    inside = subjects[(subjects["set"] == name) & (subjects["target"] == target)]
    wide = inside.pivot_table(index="subject", columns="roi", values="attribution", sort=False, dropna=False).reindex(
        columns=regions
    )
    values = np.column_stack([wide.to_numpy(dtype=np.float64), np.nansum(wide.to_numpy(dtype=np.float64), axis=1)])
    tints = [
        REST_COLOR if one == REST else colours.get(one, PALETTE[k % len(PALETTE)]) for k, one in enumerate(regions)
    ]
    _bars(axes, values, tints, (rows["p_fwe"] < 0.05).tolist())
    places = [*range(len(regions)), len(regions) + 0.4]
    labels = [fit_text(one, _NAMES, 8.1) for one in [*_named(rows), "sum"]]
    axes.set_xticks(places, labels, rotation=40, ha="right", rotation_mode="anchor")


def _legend(figure: Figure, names: Sequence[str]) -> None:
    """Name the mark of each subject below the panels."""
    width, height = (float(size) for size in figure.get_size_inches())
    axes = figure.add_axes((0.3 / width, 0.08 / height, 1 - 0.6 / width, 0.3 / height), label="subjects")
    axes.axis("off")
    for k, name in enumerate(names):
        axes.scatter(
            [],
            [],
            s=16,
            marker=_MARKERS[k % len(_MARKERS)],
            facecolor="white",
            edgecolor=INK,
            linewidth=0.7,
            label=fit_text(name, 2.0, 8.1),
        )
    axes.legend(loc="center left", ncols=max(1, min(len(names), int(width // 1.6))), handletextpad=0.1, borderpad=0)


@styled
def group_figure(
    table: pd.DataFrame, subjects: pd.DataFrame, title: str = "", colours: Mapping[str, Mapping[str, str]] | None = None
) -> Figure:
    """Draw what every region adds in the group, ROI set by ROI set and target by target.

    Parameters
    ----------
    table, subjects : pandas.DataFrame
        Of :func:`igc.roi.groups.group_table` and :func:`igc.roi.groups.join_subjects`.
    title : str
        Heading.
    colours : mapping of str to mapping of str to str, optional
        Colours of the regions of each set.

    Returns
    -------
    matplotlib.figure.Figure
    """
    sets = list(dict.fromkeys(table["set"]))
    targets, note = _targets(subjects)
    names = list(dict.fromkeys(subjects["subject"]))
    shown = [table[(table["set"] == name) & (table["target"] == targets[0])] for name in sets]
    inches = max(2.4, 0.33 * (max(map(len, shown)) + 2))
    width = max(6.6, _LEFT + len(targets) * (inches + _GAP) + 0.1)
    # names stand below the bars at 40 degrees
    rooms = [0.45 + 0.65 * min(_NAMES, max(text_width(one, 8.1) for one in _named(rows))) for rows in shown]
    height = _TOP + len(sets) * _TALL + sum(rooms) + _BOTTOM
    figure = new_figure(width, height)
    for i, name in enumerate(sets):
        top = _TOP + i * _TALL + sum(rooms[:i])
        shared: Axes | None = None
        for j, target in enumerate(targets):
            box = ((_LEFT + j * (inches + _GAP)) / width, 1 - (top + _TALL) / height, inches / width, _TALL / height)
            axes = figure.add_axes(box, sharey=shared, label=f"{name} {target}")
            _panel(axes, subjects, table, (name, target), (colours or {}).get(name, {}))
            axes.set_title(fit_text(str(target), inches, 9.1) if i == 0 else "")
            if shared is None:
                axes.set_ylabel(f"{fit_text(name, 1.2, 8.6)}\ncorrelation units")
                shared = axes
            else:
                axes.tick_params(labelleft=False)
    tested = "" if power_note(len(names)) else " Stars: p < 0.05 over all regions and targets (sign flips, max-T)."
    said = f"Bars: mean over {len(names)} subjects, ± 1 SD between them; marks: subjects. {note}"
    header(figure, title, f"{said}{power_note(len(names))}{tested}", left=0.3)
    _legend(figure, names)
    return figure
