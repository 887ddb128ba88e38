"""Maps of single samples: which samples are shown, which output of each is explained, and its map."""

from __future__ import annotations

from typing import TypeAlias, cast

import numpy as np
import numpy.typing as npt
from torch import Tensor

from igc.attribution.gradients import Inputs
from igc.attribution.problem import Problem, Rows
from igc.attribution.protocols import DatasetAttribution, DrawnAttribution, SampleAttribution
from igc.stats.moments import Array

__all__ = ["choose_examples", "example_maps", "explained_targets", "sample_method"]

PerSample: TypeAlias = SampleAttribution | DrawnAttribution


def _spread(n: int, count: int) -> Rows:
    """Return so many of n positions, evenly spread; all of them where there are not more."""
    count = min(n, count)
    return np.floor((np.arange(count) + 0.5) * n / max(count, 1)).astype(np.int64)


def choose_examples(responses: npt.ArrayLike, categories: bool, count: int) -> Rows:
    """Choose samples that stand for all.

    Parameters
    ----------
    responses : array (sample, target)
        Of all samples that may be chosen; one-hot for categories.
    categories : bool
        Whether to take as many of each class as possible, and at least one.
    count : int
        How many; 0: none.

    Returns
    -------
    array of int (example,)
        Increasing positions, evenly spread over the samples, or over those of each class.
    """
    truth = np.asarray(responses)
    if count <= 0 or not categories:
        return _spread(len(truth), max(count, 0))
    labels = truth.argmax(axis=1)
    classes = np.unique(labels)
    chosen = []
    for k, label in enumerate(classes):
        members = np.flatnonzero(labels == label)
        quota = count // len(classes) + (k < count % len(classes))
        chosen.append(members[_spread(len(members), max(quota, 1))])
    return np.sort(np.concatenate(chosen))


def explained_targets(responses: npt.ArrayLike, categories: bool) -> Rows:
    """Return which output of each example is explained.

    Parameters
    ----------
    responses : array (example, target)
        Of the examples, in their order.
    categories : bool
        One-hot responses: the sample's own class; else the targets take turns.

    Returns
    -------
    array of int (example,)
    """
    truth = np.asarray(responses)
    if categories:
        return np.asarray(truth.argmax(axis=1), dtype=np.int64)
    return np.asarray(np.arange(len(truth)) % truth.shape[1], dtype=np.int64)


def sample_method(attribution: DatasetAttribution) -> PerSample | None:
    """Return what explains single samples inside a dataset attribution, or None where nothing does."""
    method = getattr(attribution, "method", None)
    if callable(getattr(method, "attribute", None)) or callable(getattr(method, "replicate", None)):
        return cast("PerSample", method)
    return None


def example_maps(method: PerSample, problem: Problem, rows: Rows, targets: Rows) -> Array:
    """Explain single samples.

    Parameters
    ----------
    method : SampleAttribution or DrawnAttribution
        Of the latter, the mean over its draws is taken.
    problem : Problem
        What is explained.
    rows : array of int (example,)
        Numbers of the samples in the source of the problem.
    targets : array of int (example,)
        The output to explain of each; a method with one map for all outputs gives that one.

    Returns
    -------
    array (example, component)
    """
    maps = np.zeros((len(rows), problem.n_components))
    for batch in problem.batches(len(rows)):
        found = _maps(method, problem, problem.load(rows[batch])[0], rows[batch])
        every = np.arange(len(found))
        column = np.zeros_like(every) if found.shape[1] == 1 else targets[batch]
        maps[batch] = found[every, column].detach().double().cpu().numpy()
    return maps


def _maps(method: PerSample, problem: Problem, inputs: Inputs, rows: Rows) -> Tensor:
    if hasattr(method, "attribute"):
        return method.attribute(problem.outputs, inputs, rows)
    total = method.replicate(problem.outputs, inputs, rows, 0)
    for index in range(1, method.replicates):
        total = total + method.replicate(problem.outputs, inputs, rows, index)
    return total / method.replicates
