"""Remove (or keep) and retrain: what a model still learns without the parts that a map calls best (1806.10758).

One ranking for all samples, from the map of the dataset: it is a choice of features. Maps are computed on held-out
samples, on which the retrained models are scored, too: all rankings but the random one share this advantage.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
import xarray as xr

from igc.comparison.judged import Array, Mask, Rows, image_grid
from igc.config import Training
from igc.models.batches import SampleSource
from igc.seeding import generator

__all__ = ["SHARES", "Fit", "Retraining", "dataset_ranking", "linear_fit", "network_fit", "retrained_scores"]

SHARES = (0.5, 0.9)
"""Shares of the units that are taken away."""

Fit: TypeAlias = Callable[[Array, Array, Rows, int], Callable[[Array], Array]]
"""Fits a model: (inputs, responses, groups, seed) -> function from inputs to outputs (sample, target)."""


@dataclass(frozen=True)
class Retraining:
    """Samples to retrain on, and to score with.

    Attributes
    ----------
    inputs : array (sample, component...)
    responses : array (sample, target)
    groups : array of int (sample,)
        Units that validation may not divide.
    train, test : array of int
        Positions.
    categories : bool
        Score by accuracy; else by the mean correlation over targets.
    """

    inputs: Array
    responses: Array
    groups: Rows
    train: Rows
    test: Rows
    categories: bool


def dataset_ranking(maps: Array, seed: int = 0) -> Rows:
    """Rank units by magnitude over all targets, each target's map counting the same.

    Parameters
    ----------
    maps : array (target, unit)
        NaN (targets without a map) counts as 0.
    seed : int
        Of the order of ties.

    Returns
    -------
    array of int (unit,)
        0 for the best.
    """
    magnitude = np.abs(np.nan_to_num(maps))
    total = magnitude.sum(axis=1, keepdims=True)
    value = np.divide(magnitude, total, out=np.zeros_like(magnitude), where=total > 0).sum(axis=0)
    ties = generator(seed, "ties of a dataset").random(len(value))
    found = np.empty(len(value), dtype=np.int64)
    found[np.lexsort((ties, -value))] = np.arange(len(value))
    return found


def _without(data: Retraining, away: Mask) -> Array:
    """Return the inputs with some units at their mean over the training samples."""
    mean = data.inputs[data.train].mean(axis=0)
    shape = data.inputs.shape[1:]
    mask = np.broadcast_to(away.reshape(1, *shape[1:]), shape) if image_grid(shape) else away.reshape(shape)
    return np.where(mask, mean, data.inputs).astype(data.inputs.dtype)


def retrained_scores(data: Retraining, rank: Rows, share: float, keep: bool, fit: Fit, seed: int) -> float:
    """Fit a model without (or with nothing but) the best units, and score it.

    Parameters
    ----------
    data : Retraining
        The samples.
    rank : array of int (unit,)
        0 for the best.
    share : float
        Share of the units that is taken away: the best, or with ``keep`` all but the best ``1 - share``.
    keep : bool
        Keep-and-retrain rather than remove-and-retrain.
    fit : Fit
        Fits the model.
    seed : int
        Of the model.

    Returns
    -------
    float
        Accuracy, or mean correlation over targets, on the test samples.
    """
    n = len(rank)
    away = rank >= n - round(share * n) if keep else rank < round(share * n)
    inputs = _without(data, away)
    model = fit(inputs[data.train], data.responses[data.train], data.groups[data.train], seed)
    outputs, truth = model(inputs[data.test]), data.responses[data.test]
    if data.categories:
        return float(np.mean(outputs.argmax(axis=1) == truth.argmax(axis=1)))
    a, b = outputs - outputs.mean(axis=0), truth - truth.mean(axis=0)
    size = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
    return float(np.mean(np.divide((a * b).sum(axis=0), size, out=np.zeros(len(size)), where=size > 0)))


def linear_fit() -> Fit:
    """Return what fits a ridge regression of a random four fifths of the samples, its strength chosen leaving one out.

    Returns
    -------
    Fit
        Of one-hot responses it takes the class of the largest output.
    """
    from sklearn.linear_model import RidgeCV  # slow to import, and most studies retrain nothing

    def fit(inputs: Array, responses: Array, groups: Rows, seed: int) -> Callable[[Array], Array]:
        n = len(inputs)
        chosen = generator(seed, "retrained samples").permutation(n)[: max(2, 4 * n // 5)]
        flat = inputs[chosen].reshape(len(chosen), -1).astype(np.float64)
        strength = max(float(flat.var(axis=0).sum()), 1e-12)
        model = RidgeCV(alphas=strength * np.logspace(-3, 2, 6)).fit(flat, responses[chosen])
        return lambda new: np.asarray(model.predict(new.reshape(len(new), -1).astype(np.float64))).reshape(len(new), -1)

    return fit


def network_fit(categories: bool, epochs: int, width: int = 32) -> Fit:
    """Return what fits a small multilayer perceptron with the training of this package.

    Parameters
    ----------
    categories : bool
        Cross-entropy rather than squared error.
    epochs : int
        Passes over the samples.
    width : int
        Features of its layer.

    Returns
    -------
    Fit
    """
    from igc.models.training import NetworkPlan, fit_network  # slow to import: Lightning

    def fit(inputs: Array, responses: Array, groups: Rows, seed: int) -> Callable[[Array], Array]:
        names = [f"axis_{i}" for i in range(inputs.ndim - 1)]
        variables = {"inputs": (("sample", *names), inputs.astype(np.float32))}
        variables["responses"] = (("sample", "target"), responses.astype(np.float32))
        source, rows = SampleSource(xr.Dataset(variables)), np.arange(len(inputs))
        arguments = {"width": width, "blocks": 1, "input_dropout": 0.0, "dropout": 0.1}
        training = Training(epochs=epochs, patience=epochs, learning_rate=3e-3)
        shape, n_targets = inputs.shape[1:], responses.shape[1]
        plan = NetworkPlan("residual_mlp", arguments, shape, n_targets, categories, training, seed)
        module = fit_network(plan, source, groups, rows, device="cpu").module

        def predict(new: Array) -> Array:
            with torch.no_grad():
                return np.asarray(module(torch.as_tensor(new.astype(np.float32))).double().numpy())

        return predict

    return fit
