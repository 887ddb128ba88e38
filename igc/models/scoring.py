"""Scores of a model on its held-out samples, streamed and in float64."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import nn

from igc.models.batches import Batches, Rows, SampleSource
from igc.stats.correlation import correlation
from igc.stats.moments import Moments
from igc.stats.noise_ceiling import normalized_correlation, normalized_r2

__all__ = ["Ceilings", "HeldOut", "held_out", "score_table"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class HeldOut:
    """What the held-out samples say about a model.

    Attributes
    ----------
    moments : Moments
        Of response (scalar 0) and raw output (scalar 1), a block a fold.
    correct : array (fold,)
        Number of samples whose largest output is that of their category.
    residual_variance : array (fold, target)
        Mean squared difference of response and prediction; the prediction is the probability for categories.
    """

    moments: Moments
    correct: Array
    residual_variance: Array


def _batch_sums(
    module: nn.Module, inputs: torch.Tensor, responses: torch.Tensor, categories: bool
) -> tuple[Array, Array, float]:
    """Return (sample, target, [response, output]), summed squared residuals (target), and the correct ones."""
    parameter = next(iter([*module.parameters(), *module.buffers()]), torch.zeros(()))
    outputs = module(inputs.to(parameter.device)).double().cpu()
    truth = responses.double()
    predictions = torch.softmax(outputs, dim=1) if categories else outputs
    squares = (truth - predictions).square().sum(dim=0).numpy()
    correct = float((outputs.argmax(1) == truth.argmax(1)).sum()) if categories else 0.0
    return torch.stack([truth, outputs], dim=2).numpy(), squares, correct


@torch.no_grad()
def held_out(
    modules: Sequence[nn.Module], source: SampleSource, folds: Rows, categories: bool, batch_size: int = 512
) -> HeldOut:
    """Predict the held-out samples of every fold.

    Parameters
    ----------
    modules : sequence of torch.nn.Module
        Module k has not seen the samples of fold k.
    source : SampleSource
        Where samples are read.
    folds : array of int (sample,)
        Fold of each sample of the study.
    categories : bool
        Responses are one-hot and outputs logits.
    batch_size : int
        Samples a forward pass.

    Returns
    -------
    HeldOut
    """
    n_targets = source.samples["responses"].shape[1]
    state = Moments.empty(n_targets, 1, 2, 0)
    correct, residuals = np.zeros(len(modules)), np.zeros((len(modules), n_targets))
    for fold, module in enumerate(modules):
        rows = np.flatnonzero(folds == fold)
        for inputs, responses in Batches(source, rows, batch_size):
            scalars, squares, right = _batch_sums(module, inputs, responses, categories)
            blocks = np.full(len(scalars), fold)
            state = state.merge(Moments.of(scalars, np.zeros((len(scalars), 1, 0)), blocks))
            correct[fold] += right
            residuals[fold] += squares / len(rows)
    return HeldOut(state, correct, residuals)


def _r_squared(moments: Moments) -> Array:
    """Return 1 - residual / total sum of squares, (block, target); 0 where the response is constant."""
    variance = moments.scalar_covariance(0, 0)
    bias = moments.mean_scalars[:, :, 1] - moments.mean_scalars[:, :, 0]
    residual = variance + moments.scalar_covariance(1, 1) - 2 * moments.scalar_covariance(0, 1) + bias**2
    ratio = np.divide(residual, variance, out=np.ones_like(variance), where=variance > 0)
    return np.asarray(1.0 - ratio)


@dataclass(frozen=True)
class Ceilings:
    """Noise ceilings of the targets in percent of the variance: of the held-out samples of each fold, and of all.

    Attributes
    ----------
    by_fold : array (fold, target)
    together : array (target,)
    floor : float
        Targets of a ceiling up to here count as noise.
    """

    by_fold: Array
    together: Array
    floor: float = 0.0


@dataclass(frozen=True)
class _Measure:
    """A score by fold (fold, target), its mean over folds and over all samples at once (target), and the targets."""

    by_fold: Array
    mean: Array
    pooled: Array
    targets: list[str]

    @classmethod
    def of(cls, by_fold: Array, pooled: Array, targets: list[str], n: Array) -> _Measure:
        return cls(by_fold, np.average(by_fold, axis=0, weights=n), pooled, targets)

    def normalized(self, divide: Callable[[Array, Array, float], Array], ceilings: Ceilings) -> _Measure:
        """Divide each row by the ceiling of its samples."""
        return _Measure(
            divide(self.by_fold, ceilings.by_fold, ceilings.floor),
            divide(self.mean, ceilings.together, ceilings.floor),
            divide(self.pooled, ceilings.together, ceilings.floor),
            self.targets,
        )


def score_table(
    result: HeldOut, target_names: Sequence[str], categories: bool, ceilings: Ceilings | None = None
) -> pd.DataFrame:
    """Tabulate scores by fold, their mean weighted by the number of samples, and over all samples at once.

    Parameters
    ----------
    result : HeldOut
        Of :func:`held_out`.
    target_names : sequence of str
        Names of the targets.
    categories : bool
        Responses are one-hot.
    ceilings : Ceilings, optional
        Of measured responses.

    Returns
    -------
    pandas.DataFrame
        Columns ``fold`` ("0" ..., "mean", "pooled"), ``target`` (a name, or "all"), ``metric`` ("correlation" of
        response and raw output, "r2" for values, "accuracy" for categories), ``value`` and ``n`` (samples). A
        correlation with something constant counts as 0. With ceilings there are also "noise_ceiling" (percent),
        "normalized_correlation" and "normalized_r2" (see :func:`igc.stats.noise_ceiling.normalized_correlation`).
    """
    moments, pooled = result.moments, result.moments.pooled()
    n = moments.weight
    names = [str(name) for name in target_names]
    scores = _Measure.of(correlation(moments), correlation(pooled)[0], names, n)
    measures = {"correlation": scores}
    if categories:
        accuracy = (result.correct / n)[:, None]
        measures["accuracy"] = _Measure.of(accuracy, np.array([result.correct.sum() / n.sum()]), ["all"], n)
    else:
        measures["r2"] = _Measure.of(_r_squared(moments), _r_squared(pooled)[0], names, n)
    if ceilings is not None:
        measures["noise_ceiling"] = _Measure(ceilings.by_fold, ceilings.together, ceilings.together, names)
        measures["normalized_correlation"] = scores.normalized(normalized_correlation, ceilings)
        measures["normalized_r2"] = scores.normalized(normalized_r2, ceilings)
    rows: list[dict[str, Any]] = []
    for metric, measure in measures.items():
        values = {str(fold): measure.by_fold[fold] for fold in range(len(n))}
        values |= {"mean": measure.mean, "pooled": measure.pooled}
        for fold, row in values.items():
            count = int(n[int(fold)] if fold.isdigit() else n.sum())
            rows += [
                {"fold": fold, "target": target, "metric": metric, "value": float(value), "n": count}
                for target, value in zip(measure.targets, row, strict=True)
            ]
    return pd.DataFrame(rows)
