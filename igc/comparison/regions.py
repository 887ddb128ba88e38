"""Deletion of whole ROIs: whether their shares say what the model loses without them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from igc.comparison.criteria import RANDOM
from igc.comparison.judged import Array, Judged, Mask, Prepare, Remove, Rows
from igc.comparison.perturbation import area, block_labels
from igc.comparison.yardsticks import Table
from igc.errors import ShapeError, explain
from igc.seeding import generator
from igc.stats.correlation import jackknife_error
from igc.stats.ranks import average_ranks

__all__ = [
    "RegionDeletion",
    "area_between",
    "block_scores",
    "conditional_reference",
    "judge_regions",
    "rank_agreement",
    "resampled_reference",
    "steps_of",
]

MOST_STEPS = 10
"""Largest number of steps in which the regions of a set are deleted one after the other."""
FLOOR = 8
"""Random shares whose mean is the floor."""
SMALLEST = 3
"""Regions that a rank correlation needs."""


def resampled_reference(folds: Rows, seed: int) -> Prepare:
    """Put in the parts of another sample of the same fold, each sample giving its parts to one other.

    Parts stay real and keep their distribution, but not their link to the response and to the other parts.

    Parameters
    ----------
    folds : array of int (sample,)
    seed : int
        Of the order.

    Returns
    -------
    Prepare
    """
    giver = np.arange(len(folds))
    for fold in np.unique(folds):
        order = np.flatnonzero(folds == fold)
        order = order[generator(seed, "resampled parts", int(fold)).permutation(len(order))]
        giver[order] = np.roll(order, 1)

    def prepare(inputs: Array) -> Remove:
        return lambda removed, origin: np.where(removed, inputs[giver[origin]], inputs[origin])

    return prepare


def conditional_reference(by_fold: Mapping[int, Prepare], folds: Rows) -> Prepare:
    """Fill parts in given the rest, by what was fitted without the fold of the sample.

    Parameters
    ----------
    by_fold : mapping of int to Prepare
        Of each fold.
    folds : array of int (sample,)

    Returns
    -------
    Prepare
    """

    def prepare(inputs: Array) -> Remove:
        ready = {fold: by_fold[fold](inputs) for fold in map(int, np.unique(folds))}

        def remove(removed: Mask, origin: Rows) -> Array:
            filled = np.empty((len(origin), *inputs.shape[1:]))
            for fold, fill in ready.items():
                here = folds[origin] == fold
                filled[here] = fill(removed[here], origin[here])
            return filled

        return remove

    return prepare


def block_scores(predictions: Array, responses: Array, folds: Rows, blocks: Rows) -> Array:
    """Return the score of each target, of all samples and without each block.

    Parameters
    ----------
    predictions, responses : array (sample, target)
    folds, blocks : array of int (sample,)

    Returns
    -------
    array (1 + block, target)
        Pearson correlations, averaged over folds by number of samples; that of a constant prediction is 0, and folds
        in which a response is constant do not count. NaN where none is left.
    """
    labels, n_blocks = np.unique(blocks, return_inverse=True)[1], len(np.unique(blocks))
    shape = (1 + n_blocks, predictions.shape[1])
    total, weight = np.zeros(shape), np.zeros(shape)
    for fold in np.unique(folds):
        here = folds == fold
        y = responses[here] - responses[here].mean(axis=0)
        p = predictions[here] - predictions[here].mean(axis=0)
        # what is left of a constant after subtracting its mean is rounding
        constant = (p**2).sum(axis=0) <= 1e-18 * (predictions[here] ** 2).sum(axis=0)
        moments = []
        for values in (np.ones_like(y), p, y, p * p, y * y, p * y):
            sums = np.zeros((n_blocks, shape[1]))
            np.add.at(sums, labels[here], values)
            whole = sums.sum(axis=0)
            moments.append(np.concatenate([whole[None], whole - sums]))
        n, sum_p, sum_y, square_p, square_y, product = moments
        n = np.maximum(n, 1)
        var_p, var_y = square_p - sum_p**2 / n, square_y - sum_y**2 / n
        varies = (var_y > 1e-12 * square_y.max(axis=0)) & (n > 1)
        size = np.sqrt(np.maximum(var_p * var_y, 0))
        found = np.divide(product - sum_p * sum_y / n, size, out=np.zeros(shape), where=(size > 0) & ~constant)
        total += np.where(varies, n * found, 0.0)
        weight += np.where(varies, n, 0.0)
    return np.asarray(np.divide(total, weight, out=np.full(shape, np.nan), where=weight > 0))


@dataclass(frozen=True)
class RegionDeletion:
    """Scores of a model without some regions of a set; each combination of regions is asked for once.

    Attributes
    ----------
    judged : Judged
        Samples and model; which targets they explain does not matter.
    responses : array (sample, target)
    folds : array of int (sample,)
    regions : array of int (component,)
        Position of each component's region.
    reference : Prepare
        What stands in for a region.
    """

    judged: Judged
    responses: Array
    folds: Rows
    regions: Rows
    reference: Prepare
    _known: dict[bytes, Array] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        size = int(np.prod(self.judged.shape))
        if self.regions.shape != (size,):
            raise ShapeError(explain("regions", self.regions.shape, (size,), "label the components of one input"))

    @property
    def remove(self) -> Remove:
        """What takes components away."""
        return self.reference(self.judged.inputs)

    def scores(self, removed: Sequence[Mask]) -> Array:
        """Return scores without some regions each, (removed, 1 + block, target).

        Parameters
        ----------
        removed : sequence of array of bool (region,)
        """
        blocks, origin, remove = block_labels(self.folds), np.arange(len(self.folds)), None
        for regions in removed:
            if regions.tobytes() in self._known:
                continue
            remove = remove or self.remove
            gone = regions[self.regions].reshape(1, *self.judged.shape)
            changed = remove(np.broadcast_to(gone, self.judged.inputs.shape), origin)
            outputs = np.asarray(self.judged.predict(changed, origin), dtype=np.float64)
            self._known[regions.tobytes()] = block_scores(outputs, self.responses, self.folds, blocks)
        return np.stack([self._known[regions.tobytes()] for regions in removed])

    def falls(self, n_regions: int) -> Array:
        """Return by how much the score falls without each region, (1 + block, target, region)."""
        none = np.zeros(n_regions, dtype=bool)
        found = self.scores([none, *np.eye(n_regions, dtype=bool)])
        return np.moveaxis(found[:1] - found[1:], 0, -1)

    def curve(self, order: Rows, target: int) -> Array:
        """Return the score of a target as regions are deleted in an order, (1 + block, step)."""
        place = np.empty(len(order), dtype=np.int64)
        place[order] = np.arange(len(order))
        return self.scores([place < count for count in steps_of(len(order))])[:, :, target].T


def steps_of(n_regions: int) -> list[int]:
    """Return how many regions are gone at each step, from none to all."""
    return sorted({round(n) for n in np.linspace(0, n_regions, min(n_regions, MOST_STEPS) + 1)})


def rank_agreement(shares: Array, falls: Array) -> Array:
    """Correlate the ranks of shares with those of the falls of the score.

    Parameters
    ----------
    shares : array (target, region)
    falls : array (1 + block, target, region)

    Returns
    -------
    array (1 + block, target)
        Spearman's correlations: 0 for shares that are all the same, NaN for fewer than three regions and where shares
        or falls are not known.
    """
    if shares.shape[-1] < SMALLEST:
        return np.full(falls.shape[:2], np.nan)
    a, b = average_ranks(shares), average_ranks(falls)
    a, b = a - a.mean(axis=-1, keepdims=True), b - b.mean(axis=-1, keepdims=True)
    size = np.sqrt((a**2).sum(axis=-1) * (b**2).sum(axis=-1))
    found = np.divide((a * b).sum(axis=-1), size, out=np.zeros(falls.shape[:2]), where=size > 0)
    unknown = np.isnan(shares).any(axis=-1) | np.isnan(falls).any(axis=-1)
    return np.where(unknown, np.nan, found)


def area_between(deletion: RegionDeletion, shares: Array, targets: Sequence[int]) -> Array:
    """Return how much longer the score lives if the regions with the smallest shares go first, not the largest.

    Parameters
    ----------
    deletion : RegionDeletion
    shares : array (target, region)
    targets : sequence of int
        The targets that are scored.

    Returns
    -------
    array (1 + block, scored target)
        Area under the curve of the smallest first minus that of the largest first, over the share of regions: near 0
        for an order that says nothing. NaN for a target whose shares are not known.
    """
    n_regions = shares.shape[1]
    reached = np.array(steps_of(n_regions)) / n_regions
    found = []
    for target in targets:
        order = np.argsort(-shares[target], kind="stable")
        best, worst = (deletion.curve(one, target) for one in (order, order[::-1]))
        found.append(np.where(np.isnan(shares[target]).any(), np.nan, area(worst - best, reached)))
    return np.stack(found, axis=-1)


def judge_regions(
    shares: Mapping[str, Array], deletion: RegionDeletion, targets: Sequence[int], name: str, seed: int, table: Table
) -> None:
    """Judge the ROI sums of all methods for one ROI set and what stands in for a region.

    Parameters
    ----------
    shares : mapping of str to array (target, region)
        By method: sums that are shares of the score as they are, of other maps their magnitude.
    deletion : RegionDeletion
    targets : sequence of int
        The targets that are scored.
    name : str
        Of ROI set and reference, ``set/reference``.
    seed : int
        Of the random shares.
    table : Table
        Takes the rows ``roi_rank`` and ``roi_area``, means over targets.
    """
    n_targets, n_regions = next(iter(shares.values())).shape
    chosen, n = list(targets), len(deletion.folds)
    falls = deletion.falls(n_regions)[:, chosen]
    measures = {method: _measured(deletion, values, falls, chosen) for method, values in shares.items()}
    draws = [generator(seed, "random shares", k).normal(size=(n_targets, n_regions)) for k in range(FLOOR)]
    floors = [_measured(deletion, values, falls, chosen) for values in draws]
    floor = {stick: np.mean([one[stick] for one in floors], axis=0) for stick in floors[0]}
    for method, found in {**measures, RANDOM: floor}.items():
        for stick, values in found.items():
            value, error = _averaged(values)
            gain = _averaged(values - floor[stick])
            if not np.isnan(value):
                table.row(stick, name, method, (value, error, n), gain, "dataset")


def _measured(deletion: RegionDeletion, shares: Array, falls: Array, targets: Sequence[int]) -> dict[str, Array]:
    """Return both yardsticks, (1 + block, target)."""
    areas = area_between(deletion, shares, targets)
    return {"roi_rank": rank_agreement(shares[list(targets)], falls), "roi_area": areas}


def _averaged(values: Array) -> tuple[float, float]:
    """Return the mean over targets of all samples, (1 + block, target), and its jackknife error over blocks."""
    known = ~np.isnan(values).any(axis=0)
    if not known.any():
        return float("nan"), float("nan")
    means = values[:, known].mean(axis=1)
    return float(means[0]), float(jackknife_error(means[1:, None])[0])
