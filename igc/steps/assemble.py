"""From the outcomes of all folds to the labelled result that is stored and handed out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from igc.attribution.cells import Cells
from igc.attribution.estimate import MapEstimate, combine_folds, fold_weights, weighted_sum
from igc.attribution.permuted import NullMap
from igc.attribution.protocols import Method, Outcome
from igc.attribution.scores import Scores
from igc.roi.sets import RoiSet, region_table
from igc.stats.moments import Array
from igc.steps.blocks import combine_choices
from igc.steps.pooling import Layout
from igc.steps.resampled import map_reliability, null_variables, roi_variables, score_variables
from igc.steps.tables import table_variables

__all__ = ["FoldResult", "assemble"]


@dataclass(frozen=True)
class FoldResult:
    """Scores and map of one outer fold."""

    scores: Scores
    outcome: Outcome
    null: NullMap | None = None


def assemble(
    folds: Sequence[FoldResult],
    method: Method,
    layout: Layout,
    target_names: Sequence[str] | None,
    rois: Mapping[str, RoiSet],
    attributes: Mapping[str, Any],
) -> xr.Dataset:
    """Average over folds by number of samples and label the axes.

    Parameters
    ----------
    folds : sequence of FoldResult
        One an outer fold.
    method : Method
        The registry entry.
    layout : Layout
        Cells of the maps and their axes.
    target_names : sequence of str, optional
        Default: "0", "1" ...
    rois : mapping of str to RoiSet
        Sets to sum over.
    attributes : mapping
        Where the result comes from.

    Returns
    -------
    xarray.Dataset
    """
    sizes = [fold.scores.n_samples for fold in folds]
    fold_scores = np.stack([fold.scores.score for fold in folds])
    split = [_split(fold.outcome, layout.cells) for fold in folds]
    estimates, regions = [whole for whole, _ in split], [part for _, part in split]
    defined = np.stack([_defined(fold, method, *parts) for fold, parts in zip(folds, split, strict=True)])
    value, sampling, estimator = combine_folds(estimates, sizes, defined)
    weights, score_weights = fold_weights(sizes, defined), fold_weights(sizes, ~np.isnan(fold_scores))
    score = np.einsum("fk,fk->k", score_weights, np.nan_to_num(fold_scores))
    maps = {"attribution": value, "standard_error": sampling, "estimator_error": estimator}
    for name in folds[0].outcome.maps:
        if folds[0].outcome.maps[name].shape[1] != value.shape[1]:
            continue  # of components, and not to be pooled
        maps[name] = weighted_sum([fold.outcome.maps[name] for fold in folds], weights)
        if name == "p_value" and len(folds) > 1:
            maps[name] = np.minimum(2 * maps[name], 1.0)  # twice a mean of p is a p, however dependent (Rueschendorf)
    names = list(target_names or [str(k) for k in range(len(score))])
    variables: dict[str, Any] = {"score": ("target", score)}
    variables |= {"score_fold": (("fold", "target"), fold_scores), "n_fold": ("fold", np.asarray(sizes))}
    variables |= score_variables([fold.scores for fold in folds], score_weights)
    variables |= map_reliability(estimates, weights, int(attributes.get("seed", 0)))
    variables |= _completeness(folds, weights)
    variables |= _unpacked(maps, layout)
    coordinates: dict[str, Any] = {"target": np.asarray(names, dtype=object)}
    further, labels = table_variables([fold.outcome.tables for fold in folds], sizes, defined)
    variables, coordinates = variables | further, coordinates | labels
    if rois:
        summed, labels = _roi_sums([part for part in regions if part is not None], sizes, defined, rois)
        variables |= summed | null_variables([fold.null for fold in folds], weights)
        coordinates |= labels
    evaluations = sum(fold.outcome.evaluations for fold in folds)
    described = {
        "complete": method.complete,
        "closes_to": method.closes_to or "",
        "signed": method.signed and all(fold.outcome.signed for fold in folds),
        "needs": method.needs,
        "source": method.source,
        "evaluations": int(evaluations),
        "points": evaluations / max(sum(sizes), 1),
        "igc_version": version("igc-neuro"),
        **_degrees(estimates),
        **combine_choices([fold.outcome.chosen for fold in folds], sizes),
        **attributes,
    }
    return xr.Dataset(variables, coordinates, {key: _plain(item) for key, item in described.items()})


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _defined(
    fold: FoldResult, method: Method, whole: MapEstimate, regions: MapEstimate | None
) -> npt.NDArray[np.bool_]:
    """Return which targets have a map in a fold, and what it must sum to, (target,)."""
    shown = regions if regions is not None and not whole.value.shape[1] else whole
    has_map = ~np.isnan(shown.value).all(axis=1)
    if method.closes_to is None:
        return np.asarray(has_map)
    scores = fold.scores.of_predictions() if method.closes_to == "one" else fold.scores
    return np.asarray(has_map & ~np.isnan(scores.score))


def _completeness(folds: Sequence[FoldResult], weights: Array) -> dict[str, Any]:
    """Average the gaps before closure; their standard errors add in quadrature."""
    gaps = [fold.outcome.completeness_error for fold in folds]
    errors = [fold.outcome.completeness_standard_error for fold in folds]
    if any(gap is None for gap in gaps) or any(error is None for error in errors):
        return {}
    gap = np.einsum("fk,fk->k", weights, np.nan_to_num(np.stack([g for g in gaps if g is not None])))
    variance = np.stack([e for e in errors if e is not None]) ** 2
    return {
        "completeness_error": ("target", gap),
        "completeness_standard_error": ("target", np.sqrt(np.einsum("fk,fk->k", weights**2, np.nan_to_num(variance)))),
    }


def _unpacked(maps: Mapping[str, Array], layout: Layout) -> dict[str, Any]:
    """Give each input its own variables, in its own shape."""
    edges = np.cumsum([int(np.prod(shape)) for shape in layout.shapes])[:-1]
    several = len(layout.shapes) > 1
    variables = {}
    for name, flat in maps.items():
        if not layout.shapes:
            continue
        for i, (part, shape) in enumerate(zip(np.split(flat, edges, axis=1), layout.shapes, strict=True)):
            axes = tuple(f"{dim}_{i}" for dim in layout.dims[i]) if several else layout.dims[i]
            variables[f"{name}_{i}" if several else name] = (("target", *axes), part.reshape(-1, *shape))
    return variables


def _split(outcome: Outcome, cells: Cells) -> tuple[MapEstimate, MapEstimate | None]:
    """Return map and regions; what the stream did not sum is summed here."""
    whole, regions = outcome.estimate, outcome.regions
    if whole.value.shape[1] == cells.n_map:
        if regions is None and cells.n_regions:
            regions = whole.summed(cells.matrix[cells.matrix.shape[0] - cells.n_regions :])
        return whole, regions
    pooled, rest = cells.matrix[: cells.n_map], cells.matrix[cells.n_map :]
    return whole.summed(pooled), whole.summed(rest) if cells.n_regions else None


def _roi_sums(
    sums: Sequence[MapEstimate],
    sizes: Sequence[int],
    defined: npt.NDArray[np.bool_],
    rois: Mapping[str, RoiSet],
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Average the sums over regions, whose errors come from sums of replicates and of jackknife maps."""
    table = region_table(rois)
    value, sampling, estimator = combine_folds(sums, sizes, defined)
    dims = ("target", "roi")
    variables = {
        "roi_attribution": (dims, value),
        "roi_standard_error": (dims, sampling),
        "roi_estimator_error": (dims, estimator),
        **roi_variables(sums),
    }
    coordinates = {
        name: ("roi", table[name].to_numpy(dtype=object if name != "roi_index" else np.int64))
        for name in ("roi", "roi_set", "roi_name", "roi_index")
    }
    return variables, coordinates


def _degrees(estimates: Sequence[MapEstimate]) -> dict[str, int]:
    """Return the degrees of freedom of both errors, over all folds."""
    found = {}
    degrees = [e.degrees for e in estimates if e.degrees is not None]
    if len(degrees) == len(estimates):
        found["estimator_degrees_of_freedom"] = sum(degrees)
    if all(e.without_group is not None for e in estimates):
        total = sum(len(e.without_group) - 1 for e in estimates if e.without_group is not None)
        found["degrees_of_freedom"] = total
    return found
