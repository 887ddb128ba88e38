"""What a result keeps for inference: scores and ROI sums without each group, and under permuted responses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from igc.attribution.estimate import MapEstimate
from igc.attribution.permuted import NullMap
from igc.attribution.scores import Scores
from igc.stats.correlation import correlation, correlation_scale, jackknife_error, leave_one_out
from igc.stats.moments import Array, Moments
from igc.stats.resampling import split_half_reliability

__all__ = ["map_reliability", "null_variables", "roi_variables", "score_variables"]

_SPLITS = 20
_TARGETS = 8192


def _padded(parts: Sequence[Array]) -> Array:
    """Join folds of different numbers of groups, (fold, group, ...); NaN where a fold has no more groups."""
    size = max(len(part) for part in parts)
    joined = np.full((len(parts), size, *parts[0].shape[1:]), np.nan)
    for row, part in zip(joined, parts, strict=True):
        row[: len(part)] = part
    return joined


def score_variables(scores: Sequence[Scores], weights: Array) -> dict[str, Any]:
    """Return ``score_without_group`` (fold, group, target) and ``score_standard_error`` (target).

    Parameters
    ----------
    scores : sequence of Scores
        One a fold.
    weights : array (fold, target)
        Weight of each fold.

    Returns
    -------
    dict
        Empty where groups were not kept apart.
    """
    if not all(score.grouped for score in scores):
        return {}
    parts = [_without_group(score) for score in scores]
    errors = np.stack([np.nan_to_num(jackknife_error(part)) for part in parts])
    return {
        "score_without_group": (("fold", "group", "target"), _padded(parts)),
        "score_standard_error": ("target", np.sqrt(np.einsum("fk,fk->k", weights**2, errors**2))),
    }


def _without_group(score: Scores) -> Array:
    """Return the score without each group of samples in turn, (group, target), for some targets at a time."""
    n = score.groups.mean_scalars.shape[1]
    found = []
    for start in range(0, n, _TARGETS):
        rest = score.without_group if n <= _TARGETS else leave_one_out(_scalars_of(score.groups, start))
        found.append(np.where(correlation_scale(rest) > 0, correlation(rest), np.nan))
    return np.concatenate(found, axis=1)


def _scalars_of(groups: Moments, start: int) -> Moments:
    """Return the moments of responses and predictions of some targets; a map is kept of no component."""
    some = slice(start, start + _TARGETS)
    kept = {name: getattr(groups, name)[:, :1, :0] for name in ("mean_map", "map", "absolute_map")}
    kept |= {"mean_scalars": groups.mean_scalars[:, some], "scalars": groups.scalars[:, some]}
    return replace(groups, scalar_map=groups.scalar_map[:, some, :, :0], **kept)


def roi_variables(sums: Sequence[MapEstimate]) -> dict[str, Any]:
    """Return ``roi_without_group`` (fold, group, target, roi); ``roi_fold``, ``roi_fold_error`` (fold, target, roi).

    Parameters
    ----------
    sums : sequence of MapEstimate
        ROI sums of each fold.

    Returns
    -------
    dict
        Empty where groups were not kept apart.
    """
    without = [part.without_group for part in sums if part.without_group is not None]
    if len(without) < len(sums):
        return {}
    axes = ("fold", "target", "roi")
    return {
        "roi_without_group": (("fold", "group", "target", "roi"), _padded(without)),
        "roi_fold": (axes, np.stack([part.value for part in sums])),
        "roi_fold_error": (axes, np.stack([part.estimator_error() for part in sums])),
    }


def map_reliability(estimates: Sequence[MapEstimate], weights: Array, seed: int) -> dict[str, Any]:
    """Return ``map_reliability`` (target): split halves of the groups, over all components, with Spearman-Brown.

    Parameters
    ----------
    estimates : sequence of MapEstimate
        One a fold.
    weights : array (fold, target)
    seed : int
        Of the halves.

    Returns
    -------
    dict
        Empty where groups were not kept apart.
    """
    without = [part.without_group for part in estimates if part.without_group is not None]
    whole = all(
        part.shape[-1] and part.shape[-1] == e.value.shape[1] for part, e in zip(without, estimates, strict=False)
    )
    if len(without) < len(estimates) or not whole or min(len(part) for part in without) < 2:
        return {}
    values = [part.value for part in estimates]
    return {"map_reliability": ("target", split_half_reliability(values, without, weights, seed, _SPLITS)[1])}


def null_variables(nulls: Sequence[NullMap | None], weights: Array) -> dict[str, Any]:
    """Return ``roi_null`` (permutation, target, roi), ``roi_null_error`` and ``roi_null_deviation`` (target, roi).

    Parameters
    ----------
    nulls : sequence of NullMap, optional
        One a fold; folds are permuted independently.
    weights : array (fold, target)

    Returns
    -------
    dict
        Empty where a fold has no null. ``roi_null`` where responses were permuted; ``roi_null_error`` where the null
        has points of its own; ``roi_null_deviation`` where there is a closed form.
    """
    found = [null for null in nulls if null is not None]
    if not found or len(found) < len(nulls):
        return {}
    variables: dict[str, Any] = {}
    if len(found[0].value):
        value = np.einsum("fk,fpkr->pkr", weights, np.stack([np.nan_to_num(null.value) for null in found]))
        variables["roi_null"] = (("permutation", "target", "roi"), value)
    # folds are independent of each other
    for name, parts in (
        ("roi_null_error", [null.noise for null in found]),
        ("roi_null_deviation", [null.deviation for null in found]),
    ):
        known = [np.nan_to_num(part) for part in parts if part is not None]
        if len(known) == len(parts):
            variance = np.einsum("fk,fkr->kr", weights**2, np.stack(known) ** 2)
            variables[name] = (("target", "roi"), np.sqrt(variance))
    return variables
