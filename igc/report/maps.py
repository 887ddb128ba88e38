"""The two sheets of maps of a study: IGC in full size, and all methods side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import xarray as xr
from matplotlib.figure import Figure

from igc.errors import ShapeError, explain
from igc.report.images import ImagePainter, flatten_channels, image_outlines
from igc.report.panels import Block, Line, Painter, Panel, panel_grid, panel_sheet
from igc.report.selection import (
    Choice,
    Results,
    choose_targets,
    main_results,
    method_label,
    model_labels,
    one_seed_each,
)
from igc.report.style import colour_limit, styled, unavailable
from igc.report.surfaces import FADE as SURFACE_FADE
from igc.report.surfaces import SurfacePainter, Surfaces, why_no_surface
from igc.report.vectors import VectorPainter
from igc.report.volumes import FADE, Geometry, MosaicPainter, SlicePainter, strongest_slices
from igc.roi.sets import RoiSet
from igc.store.arrays import read_values

__all__ = ["Painters", "maps_igc", "maps_methods", "maps_surface", "painters"]

_CLOSED = "correlation units, sums to the score"
_MOSAIC_SLICES = 6
_MOST_OUTLINES = 12
_FEW = 3
"""Up to so many targets, methods stand side by side; beyond, targets do."""


@dataclass(frozen=True)
class Painters:
    """How maps of a study are drawn.

    Attributes
    ----------
    large, small : Painter
        For the sheet of IGC, and for the sheet of all methods.
    hint, small_hint : str
        How to read the panels of each, for the subtitle.
    """

    large: Painter
    small: Painter
    hint: str
    small_hint: str


def _map(result: xr.Dataset, target: int) -> npt.NDArray[np.float64]:
    values = read_values(result["attribution"][target]).astype(np.float64)
    return flatten_channels(values) if values.ndim == 3 else values


def painters(samples: xr.Dataset, results: Results, rois: Mapping[str, RoiSet] | None = None) -> Painters:
    """Choose how the maps of a study are drawn.

    Parameters
    ----------
    samples : xarray.Dataset
        The samples; attribute ``kind`` tells images, volumes and vectors apart.
    results : mapping
        Attribution results; the strongest slices of volumes are chosen from their IGC maps.
    rois : mapping of str to RoiSet, optional
        Of those with few regions, the finest set is outlined on maps of voxels.

    Returns
    -------
    Painters
    """
    kind = samples.attrs.get("kind", "vector")
    if kind == "image":
        shape = samples["inputs"].shape[-2:]
        outlines = image_outlines(samples)
        hint = ""
        if outlines:
            hint = "planted truth" if "truth" in samples else "category's mean image"
            hint = f" Outline: the {hint}, at half of its maximum."
        painter = ImagePainter((int(shape[0]), int(shape[1])), outlines)
        return Painters(painter, painter, hint, hint)
    if kind == "volume":
        return _volume_painters(samples, results, _outlined(rois or {}))
    if "vertex_index" in samples and not why_no_surface(samples):
        return _surface_painters(samples)
    painter_of_vectors = VectorPainter()
    return Painters(painter_of_vectors, painter_of_vectors, "", "")


def _surface_painters(samples: xr.Dataset) -> Painters:
    surfaces = Surfaces.of(samples)
    if surfaces is None:
        raise ShapeError(explain("surface", why_no_surface(samples), "an average surface", "draw slices instead"))
    fade = f"values below {SURFACE_FADE:.0%} of the colour limit show the folds."
    hint = f" The left hemisphere is on the left, outer sides are outside; {fade}"
    below = f" The left hemisphere is on the left, outer sides are above; {fade}"
    small = SurfacePainter(surfaces, coarse=True)
    return Painters(SurfacePainter(surfaces), small, hint, below)


@styled
def maps_surface(samples: xr.Dataset, results: Results) -> Figure:
    """Draw the map of every target and model by IGC on the average cortical surface.

    Parameters
    ----------
    samples : xarray.Dataset
        The samples of the study.
    results : mapping
        Attribution results by (model folder, result name).

    Returns
    -------
    matplotlib.figure.Figure
        A note with the reason where it is not known where components lie on it.
    """
    reason = why_no_surface(samples)
    if reason:
        return unavailable(f"{_title(samples)} · surface", reason)
    return maps_igc(samples, results, _surface_painters(samples))


def _outlined(rois: Mapping[str, RoiSet]) -> RoiSet | None:
    """Return the ROI set with most regions, among those with so few that their outlines do not hide the map."""
    fitting = [one for one in rois.values() if 1 < len(one.regions) <= _MOST_OUTLINES]
    return max(fitting, key=lambda one: len(one.regions), default=None)


def _volume_painters(samples: xr.Dataset, results: Results, roi_set: RoiSet | None) -> Painters:
    geometry = Geometry.of(samples)
    fade = f" Values below {FADE:.0%} of the colour limit fade into the mean image."
    lines = f" Lines: ROI set {roi_set.name}." if roi_set else ""
    labels = roi_set.labels.astype(np.int64) if roi_set else None
    flat = geometry.flat_axis
    if flat is not None:
        painter = SlicePainter(geometry, flat, 0, outlines=labels)
        plain = SlicePainter(geometry, flat, 0)
        plane = ("sagittal", "coronal", "axial")[flat]
        hint = f" The {plane} slice at {painter.millimetres:.0f}\N{NO-BREAK SPACE}mm.{fade}"
        return Painters(painter, plain, f"{hint}{lines}", hint)
    chosen = choose_targets(results).indices
    shown = main_results(results) or {model: one for (model, _), one in results.items()}
    stack = np.stack([_map(one, k) for one in shown.values() for k in chosen])
    mosaic = MosaicPainter(geometry, strongest_slices(stack, geometry, 2, _MOSAIC_SLICES), outlines=labels)
    small = SlicePainter(geometry, 2, strongest_slices(stack, geometry, 2, 1)[0])
    hint = f" The axial slice at {small.millimetres:.0f}\N{NO-BREAK SPACE}mm.{fade}"
    return Painters(mosaic, small, f"{fade}{lines}", hint)


def _truth(samples: xr.Dataset, targets: Sequence[int]) -> list[Panel]:
    truth = read_values(samples["truth"]).astype(np.float64)
    limit = colour_limit([truth[list(targets)]], 1.0)
    return [Panel(k, truth[k], limit, "planted truth") for k in targets]


def _with_score(name: str, result: xr.Dataset, target: int) -> str:
    return f"{name}, r = {float(result['score'].values[target]):.2f}"


def _title(samples: xr.Dataset) -> str:
    return str(samples.attrs.get("title") or samples.attrs.get("study") or "study")


@styled
def maps_igc(samples: xr.Dataset, results: Results, draw: Painters | None = None) -> Figure:
    """Draw the map of every target and model by IGC, all on one symmetric colour scale.

    Parameters
    ----------
    samples : xarray.Dataset
        The samples of the study.
    results : mapping
        Attribution results by (model folder, result name).
    draw : Painters, optional
        How maps are drawn; default: by the kind of the samples.

    Returns
    -------
    matplotlib.figure.Figure
    """
    draw = draw or painters(samples, results)
    main = main_results(results)
    if not main:
        return unavailable(f"{_title(samples)} · IGC", "No method of this study gives maps that sum to the score.")
    kept, seeds = one_seed_each(main)
    labels = model_labels(kept)
    chosen = choose_targets(results)
    limit = colour_limit([_map(main[model], k) for model in kept for k in chosen.indices])
    blocks = []
    for model in kept:
        panels = [
            Panel(
                k,
                _map(main[model], k),
                limit,
                _with_score(name if len(chosen.names) > 1 else labels[model], main[model], k),
            )
            for k, name in zip(chosen.indices, chosen.names, strict=True)
        ]
        blocks.append(Block(_heading(labels[model], main[model]), tuple(panels)))
    if len(chosen.indices) == 1:
        truth = _truth(samples, chosen.indices) if "truth" in samples else []
        blocks = [Block("", tuple(panel for block in blocks for panel in block.panels))]
        return _sheet(samples, blocks, draw, limit, f"{seeds}", truth, chosen)
    return _sheet(samples, blocks, draw, limit, f"{chosen.note} {seeds}".strip(), [], chosen)


def _heading(label: str, result: xr.Dataset) -> str:
    score = float(np.mean(result["score"].values))
    return f"{label}: mean r = {score:.2f} over {result.sizes['target']} targets"


def _sheet(
    samples: xr.Dataset,
    blocks: list[Block],
    draw: Painters,
    limit: float,
    note: str,
    truth: list[Panel],
    chosen: Choice,
) -> Figure:
    # the truth has a scale of its own, so it stands after the maps that the colour bar belongs to
    if truth:
        blocks = [Block("", (*blocks[0].panels, *truth))]
        note = f"{note} The planted truth is scaled to its own maximum.".strip()
    target = f", target {chosen.names[0]}" if len(chosen.names) == 1 else ""
    subtitle = f"Each map sums to r, the correlation of the model's predictions with the truth.{draw.hint}"
    return panel_sheet(blocks, draw.large, f"{_title(samples)} · IGC{target}", subtitle, _CLOSED, note)


# --- all methods ----------------------------------------------------------------------------------------------------


def _scales(results: Results, models: list[str], targets: Sequence[int]) -> dict[tuple[str, str], tuple[str, float]]:
    """Return the scale's name and limit of each result: one for all that sum to the score, else one a method."""
    names = {key: "closed" if one.attrs.get("complete") else key[1] for key, one in results.items() if key[0] in models}
    limits = {
        scale: colour_limit([_map(results[key], k) for key, own in names.items() if own == scale for k in targets])
        for scale in set(names.values())
    }
    return {key: (scale, limits[scale]) for key, scale in names.items()}


@styled
def maps_methods(samples: xr.Dataset, results: Results, draw: Painters | None = None) -> Figure:
    """Draw the maps of all methods and models side by side.

    Maps that sum to the score share one colour scale; those of other methods have a unit, and so a scale, of their own.

    Parameters
    ----------
    samples : xarray.Dataset
        The samples of the study.
    results : mapping
        Attribution results by (model folder, result name).
    draw : Painters, optional
        How maps are drawn; default: by the kind of the samples.

    Returns
    -------
    matplotlib.figure.Figure
    """
    draw = draw or painters(samples, results)
    models, seeds = one_seed_each(model for model, _ in results)
    chosen = choose_targets(results)
    scales = _scales(results, models, chosen.indices)
    labels = model_labels(models)
    order = sorted(scales, key=lambda key: (scales[key][0] != "closed", scales[key][0], key[1] != "igc", key[1]))
    lines = []
    for model, method in order:
        scale, limit = scales[model, method]
        result = results[model, method]
        panels = tuple(Panel(k, _map(result, k), limit) for k in chosen.indices)
        unit = _CLOSED if scale == "closed" else str(result.attrs.get("unit", "unit of its own"))
        lines.append(Line(method_label(method), labels[model], panels, scale, unit))
    title = f"{_title(samples)} · all methods"
    subtitle = f"Methods whose maps sum to the score share a colour scale; others have their own.{draw.small_hint}"
    note = f"{chosen.note} {seeds}".strip()
    truth = _truth(samples, chosen.indices) if "truth" in samples else []
    if truth:
        note = f"{note} The planted truth is scaled to its own maximum.".strip()
    if len(chosen.indices) <= _FEW:
        lines, columns = _side_by_side(lines, chosen, truth)
        return panel_grid(lines, columns, draw.small, title, subtitle, note, panel_width=1.25)
    if truth:
        lines.append(Line("planted truth", "", tuple(truth), "truth", "scaled to its maximum"))
    return panel_grid(lines, chosen.names, draw.small, title, subtitle, note)


def _side_by_side(lines: list[Line], chosen: Choice, truth: list[Panel]) -> tuple[list[Line], list[str]]:
    """Bring models next to each other where few targets leave room: columns become (model, target).

    The planted truth follows in the first row.
    """
    models = list(dict.fromkeys(line.detail for line in lines))
    columns = [model if len(chosen.names) == 1 else f"{model} {name}" for model in models for name in chosen.names]
    merged: dict[str, Line] = {}
    for line in lines:
        old = merged.get(line.label)
        empty: tuple[Panel | None, ...] = (None,) * len(columns)
        panels = list(old.panels if old else empty)
        start = models.index(line.detail) * len(chosen.names)
        panels[start : start + len(line.panels)] = line.panels
        merged[line.label] = Line(line.label, "", tuple(panels), line.scale, line.unit)
    rows = list(merged.values())
    if not truth:
        return rows, columns
    blank: list[Panel | None] = [None] * len(truth)
    rows = [replace(line, panels=(*line.panels, *(truth if k == 0 else blank))) for k, line in enumerate(rows)]
    named = [
        panel.title if len(truth) == 1 else f"{panel.title} {name}"
        for panel, name in zip(truth, chosen.names, strict=True)
    ]
    return rows, [*columns, *named]
