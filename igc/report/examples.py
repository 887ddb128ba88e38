"""Maps of single samples: what each method says of the same few inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from igc.report.images import flatten_channels
from igc.report.maps import Painters, painters
from igc.report.panels import Line, Painter, Panel, panel_grid
from igc.report.selection import Results, method_label, model_labels, one_seed_each
from igc.report.style import colour_limit, styled, unavailable
from igc.store.arrays import read_values

__all__ = ["MAX_EXAMPLES", "choose_shown", "examples_figure"]

MAX_EXAMPLES = 6
"""Largest number of samples that are shown."""
_INPUT = -1
_SPREAD = 3.0
_MOST_READ = 500

Floats = npt.NDArray[np.float64]


class _WithInputs:
    """Draws maps as another painter does, and inputs of images in grey."""

    def __init__(self, inner: Painter, images: bool) -> None:
        self.inner, self.images = inner, images
        self.width, self.aspect = inner.width, inner.aspect

    def draw(self, axes: Axes, target: int, values: Floats, limit: float) -> None:
        if target != _INPUT or not self.images:
            self.inner.draw(axes, target, values, limit)
            return
        axes.imshow(flatten_channels(values), cmap="gray", aspect="auto")
        axes.set(xticks=[], yticks=[])

    def draw_regions(self, axes: Axes, labels: npt.NDArray[np.int64], colours: Mapping[int, str]) -> None:
        self.inner.draw_regions(axes, labels, colours)


def choose_shown(results: Mapping[str, xr.Dataset], categories: bool) -> npt.NDArray[np.int64]:
    """Choose samples that as many methods as possible have explained.

    Parameters
    ----------
    results : mapping of str to xarray.Dataset
        Results with ``example_attribution``.
    categories : bool
        Take samples of different classes where there are some.

    Returns
    -------
    array of int (example,)
        Rows of the samples, at most :data:`MAX_EXAMPLES`; in the order of their classes where there are some.
    """
    rows = [result["example_row"].values for result in results.values()]
    base = max(results.values(), key=lambda one: one.sizes["example"])
    target = dict(zip(base["example_row"].values.tolist(), base["example_target"].values.tolist(), strict=True))
    counts = {row: sum(row in one for one in rows) for row in target}
    order = sorted(target, key=lambda row: (-counts[row], row))
    shared = [row for row in order if counts[row] == counts[order[0]]]
    # of the samples that all methods have, those that lie far apart; else whatever most of them have
    order = shared if len(shared) >= MAX_EXAMPLES else order
    if categories:
        seen: dict[int, int] = {}
        turn = {}
        for row in order:
            turn[row] = seen[target[row]] = seen.get(target[row], -1) + 1
        order = sorted(order, key=lambda row: (turn[row], target[row]))[:MAX_EXAMPLES]
        return np.array(sorted(order, key=lambda row: (target[row], row)), dtype=np.int64)
    if len(shared) >= MAX_EXAMPLES:
        order = [order[i] for i in np.linspace(0, len(order) - 1, MAX_EXAMPLES).round().astype(int)]
    return np.sort(np.array(order[:MAX_EXAMPLES], dtype=np.int64))


def _standardised(samples: xr.Dataset, rows: npt.NDArray[np.int64]) -> Floats:
    """Return inputs as they are of images, else in standard deviations over held-out samples."""
    inputs = np.stack([read_values(samples["inputs"][int(row)]).astype(np.float64) for row in rows])
    if samples.attrs.get("kind") == "image":
        return inputs
    held = np.flatnonzero(samples["fold"].values >= 0)
    some = held[np.linspace(0, len(held) - 1, min(len(held), _MOST_READ)).round().astype(np.int64)]
    known = read_values(samples["inputs"], some).astype(np.float64)
    spread = known.std(axis=0)
    return np.asarray((inputs - known.mean(axis=0)) / np.where(spread > 0, spread, 1.0))


def _titles(samples: xr.Dataset, rows: Sequence[int], targets: Mapping[int, int], categories: bool) -> list[str]:
    names = [str(name) for name in samples["target"].values]
    if categories:
        return [names[targets[row]] for row in rows]
    several = len(names) > 1
    said = [f"{names[targets[row]]} = " if several else "response " for row in rows]
    responses = [float(read_values(samples["responses"][row])[targets[row]]) for row in rows]
    numbers = [f"{value:.2f}".replace("-", "\N{MINUS SIGN}") for value in responses]
    return [text + number for text, number in zip(said, numbers, strict=True)]


def _line(method: str, result: xr.Dataset, rows: Sequence[int], targets: Mapping[int, int]) -> Line:
    place = {int(row): i for i, row in enumerate(result["example_row"].values)}
    known = [row for row in rows if row in place]
    stored = read_values(result["example_attribution"]).astype(np.float64)
    maps = {row: flatten_channels(m) if (m := stored[place[row]]).ndim == 3 else m for row in known}
    limit = colour_limit(list(maps.values()))
    panels = tuple(Panel(targets[row], np.nan_to_num(maps[row]), limit) if row in maps else None for row in rows)
    return Line(method_label(method), "", panels, method, str(result.attrs.get("unit", "unit of its own")))


@styled
def examples_figure(samples: xr.Dataset, results: Results, draw: Painters | None = None) -> Figure:
    """Draw the maps of a few single samples by every method that explains single samples.

    Parameters
    ----------
    samples : xarray.Dataset
        The samples of the study.
    results : mapping
        Attribution results by (model folder, result name); those of the first model with such maps are shown.
    draw : Painters, optional
        How maps are drawn; default: by the kind of the samples.

    Returns
    -------
    matplotlib.figure.Figure
        A note instead where no method explains single samples.
    """
    title = str(samples.attrs.get("title") or samples.attrs.get("study") or "study")
    known = {key: one for key, one in results.items() if "example_attribution" in one and one.sizes["example"]}
    if not known:
        return unavailable(f"{title} · single samples", "No map of a single sample was kept in this study.")
    draw = draw or painters(samples, results)
    model = one_seed_each(model for model, _ in known)[0][0]
    chosen = {method: one for (name, method), one in known.items() if name == model}
    categories = samples.attrs.get("target_type") == "categories"
    rows = [int(row) for row in choose_shown(chosen, categories)]
    pairs = [zip(one["example_row"].values, one["example_target"].values, strict=True) for one in chosen.values()]
    targets = {int(row): int(target) for one in pairs for row, target in one}
    images = samples.attrs.get("kind") == "image"
    inputs = _standardised(samples, np.array(rows, dtype=np.int64))
    shown = tuple(Panel(_INPUT, one, _SPREAD) for one in inputs)
    lines = [Line("the input", "", shown, *(("", "") if images else ("input", "standard deviations")))]
    lines += [_line(method, one, rows, targets) for method, one in sorted(chosen.items())]
    subtitle = (
        f"Held-out samples of {model_labels([model])[model]}, explained for the class of each"
        if categories
        else f"Held-out samples of {model_labels([model])[model]}, explained for the target above each"
    )
    subtitle += f". Colours of each method have a scale of their own.{draw.small_hint}"
    note = "Empty: a costly method explained fewer samples." if any(None in line.panels for line in lines) else ""
    columns = _titles(samples, rows, targets, categories)
    painter = _WithInputs(draw.small, images)
    heading = f"{title} · single samples"
    return panel_grid(lines, columns, painter, heading, subtitle, note, panel_width=1.0)
