"""Answers worked out another way: slow, direct, and independent of the engine."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

__all__ = ["data_baseline_igc", "linear_igc", "shared_baseline_igc"]

Values = npt.NDArray[np.float64]


def _path_gradients(model: Callable[[Tensor], Tensor], start: Values, stop: Values, nodes: int) -> Values:
    """Return the mean gradient from start to each stop, (..., target, component), by the Gauss-Legendre rule."""
    where, weights = np.polynomial.legendre.leggauss(nodes)
    ends = np.atleast_2d(stop)
    points = torch.as_tensor(start + ((where + 1) / 2)[:, None, None] * (ends - start))
    points = points.reshape(-1, ends.shape[1]).requires_grad_()
    outputs = model(points)
    gradients = [
        torch.autograd.grad(outputs[:, k].sum(), points, retain_graph=True)[0] for k in range(outputs.shape[1])
    ]
    mean = [np.tensordot(weights / 2, g.numpy().reshape(nodes, *ends.shape), axes=1) for g in gradients]
    return np.stack(mean, axis=1).reshape(*stop.shape[:-1], len(mean), ends.shape[1])


def shared_baseline_igc(
    model: Callable[[Tensor], Tensor], inputs: Values, responses: Values, baselines: Values, nodes: int = 24
) -> Values:
    """Return IGC by its definition, sample by sample and baseline by baseline.

    Parameters
    ----------
    model : callable
        (batch, component) -> (batch, target).
    inputs, responses : array (sample, component), (sample, target)
        The dataset.
    baselines : array (baseline, component)
        Reference inputs.
    nodes : int
        Nodes on each path.

    Returns
    -------
    array (target, component)
    """
    maps = np.zeros((len(inputs), responses.shape[1], inputs.shape[1]))
    for baseline in baselines:
        maps += (inputs - baseline)[:, None] * _path_gradients(model, baseline, inputs, nodes) / len(baselines)
    with torch.no_grad():
        predictions = model(torch.as_tensor(inputs)).numpy()
    centred = responses - responses.mean(axis=0)
    covariance = np.einsum("nkc,nk->kc", maps - maps.mean(axis=0), centred) / len(inputs)
    return np.asarray(covariance / (responses.std(axis=0) * predictions.std(axis=0))[:, None])


def data_baseline_igc(model: Callable[[Tensor], Tensor], inputs: Values, responses: Values, nodes: int = 24) -> Values:
    """Return IGC with every sample as the baseline of every other, by its definition.

    Parameters
    ----------
    model, inputs, responses, nodes
        As for :func:`shared_baseline_igc`; the cost grows with the square of the number of samples.

    Returns
    -------
    array (target, component)
    """
    return shared_baseline_igc(model, inputs, responses, inputs, nodes)


def linear_igc(weights: npt.ArrayLike, inputs: Values, responses: Values) -> Values:
    """Return the IGC of the linear model ``x @ weights.T``: w_i cov(x_i, y) / (sd(y) sd(yhat)).

    Parameters
    ----------
    weights : array (target, component)
    inputs, responses : array (sample, component), (sample, target)

    Returns
    -------
    array (target, component)
    """
    matrix = np.asarray(weights, dtype=np.float64)
    predictions = inputs @ matrix.T
    covariance = (responses - responses.mean(axis=0)).T @ (inputs - inputs.mean(axis=0)) / len(inputs)
    return np.asarray(matrix * covariance / (responses.std(axis=0) * predictions.std(axis=0))[:, None])
