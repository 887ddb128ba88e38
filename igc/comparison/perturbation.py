"""Insertion and deletion: how the model's answer goes as the best parts of an input are put in or taken away.

Public code of these curves is known to score the last state at all steps (a live tensor kept instead of a copy) and to
leave out the unchanged input. Here every step is a new array and both ends are points of the curve.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from igc.comparison.judged import Array, Judged, Prepare, Rows
from igc.errors import DataError, ShapeError, explain
from igc.stats.correlation import jackknife_error

__all__ = ["area", "block_labels", "kept_fractions", "perturbation_curves", "score_areas", "score_curves"]

BLOCKS = 20
"""Blocks of samples that are left out in turn for the error of a score."""


def kept_fractions(steps: int) -> Array:
    """Return the shares of units of each step of a curve, from 0 to 1."""
    return np.linspace(0.0, 1.0, steps + 1)


def perturbation_curves(
    judged: Judged, rank: Rows, reference: Prepare, fractions: npt.ArrayLike, insertion: bool
) -> Array:
    """Take away (deletion) or put in (insertion) growing shares of the units, best first.

    Parameters
    ----------
    judged : Judged
        Samples and model.
    rank : array of int (sample, unit)
        0 for the unit that comes first.
    reference : Prepare
        What stands in for parts that are taken away.
    fractions : array (step,)
        Shares of the units.
    insertion : bool
        Put in rather than take away.

    Returns
    -------
    array (sample, step)
        Probability of the explained class; for values, the squared change of the prediction from that of the whole
        input, over the variance of the prediction.
    """
    origin = np.arange(len(judged.inputs))
    remove, curves = reference(judged.inputs), []
    for share in np.asarray(fractions, dtype=np.float64):
        reached = rank < round(share * judged.n_units)
        removed = judged.components(~reached if insertion else reached)
        curves.append(judged.answer(remove(removed, origin), origin))
    values = np.stack(curves, axis=1)
    if judged.categories:
        return values
    whole = judged.answer(judged.inputs, origin)
    return np.asarray(((values - whole[:, None]) / _spread(judged, whole)[:, None]) ** 2)


def _spread(judged: Judged, whole: Array) -> Array:
    """Return the standard deviation of each sample's explained prediction, (sample,)."""
    if judged.spread is not None:
        found = judged.spread[judged.targets]
    else:
        found = np.array([whole[judged.targets == target].std() for target in judged.targets])
    return np.where(found > 0, found, 1.0)


def area(curves: Array, fractions: npt.ArrayLike) -> Array:
    """Return the area under curves (..., step) by the trapezoidal rule, (...)."""
    return np.asarray(np.trapezoid(curves, np.asarray(fractions, dtype=np.float64), axis=-1))


def block_labels(folds: Rows) -> Rows:
    """Cut the samples of each fold into blocks that are left out in turn, (sample,)."""
    labels = np.empty(len(folds), dtype=np.int64)
    for fold in np.unique(folds):
        inside = np.flatnonzero(folds == fold)
        labels[inside] = np.arange(len(inside)) * BLOCKS // len(inside)
    return labels


def score_curves(
    judged: Judged, responses: Array, folds: Rows, rank: Rows, reference: Prepare, fractions: npt.ArrayLike
) -> Array:
    """Delete the best units of a dataset's map from all samples, and score the model at each step.

    Parameters
    ----------
    judged : Judged
        Samples and model; one target explained in all of them.
    responses : array (sample,)
        Of this target.
    folds : array of int (sample,)
        Scores are means over folds by number of samples.
    rank : array of int (unit,)
        0 for the unit that is deleted first, in all samples.
    reference : Prepare
    fractions : array (step,)

    Returns
    -------
    array (1 + block, step)
        Correlation of raw output and response: of all samples first, then without each block.
    """
    if responses.shape != (len(judged.inputs),):
        raise ShapeError(explain("responses", responses.shape, (len(judged.inputs),), "pass those of one target"))
    origin, blocks = np.arange(len(judged.inputs)), block_labels(folds)
    remove, outputs = reference(judged.inputs), []
    for share in np.asarray(fractions, dtype=np.float64):
        removed = np.broadcast_to(rank < round(share * judged.n_units), (len(origin), judged.n_units))
        outputs.append(judged.raw(remove(judged.components(removed), origin), origin))
    predictions = np.stack(outputs)
    kept = [np.ones(len(origin), dtype=bool), *(blocks != b for b in range(BLOCKS) if (blocks == b).any())]
    return np.stack([_scores(predictions[:, k], responses[k], folds[k]) for k in kept])


def _scores(predictions: Array, responses: Array, folds: Rows) -> Array:
    """Return the correlation of each step, (step,); that of a constant prediction is 0: it tells nothing."""
    total, n = np.zeros(len(predictions)), 0
    for fold in np.unique(folds):
        here = folds == fold
        y = responses[here] - responses[here].mean()
        if y @ y == 0:
            continue
        p = predictions[:, here] - predictions[:, here].mean(axis=1, keepdims=True)
        size = np.sqrt((p**2).sum(axis=1) * (y @ y))
        # what is left of a constant after subtracting its mean is rounding
        varies = size > 1e-9 * np.sqrt((predictions[:, here] ** 2).sum(axis=1) * (y @ y))
        total += here.sum() * np.divide(p @ y, size, out=np.zeros(len(p)), where=varies)
        n += int(here.sum())
    if not n:
        raise DataError(explain("responses", "constant in every fold", "values that differ", "judge more samples"))
    return total / n


def score_areas(curves: Array, fractions: npt.ArrayLike) -> tuple[float, float]:
    """Return the area under the score curve of :func:`score_curves` and its jackknife error over blocks."""
    areas = area(curves, fractions)
    return float(areas[0]), float(jackknife_error(areas[1:, None])[0])
