"""Linear models, with regularisation chosen in group-wise cross-validation inside the training samples."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GroupKFold

from igc.config import LinearModel
from igc.errors import DataError, ModelError, explain
from igc.models.architectures import FlatLinear
from igc.models.banded import BandedRidge, search_penalties
from igc.models.batches import Rows, SampleSource
from igc.models.ridge import LinearFit, fit_ridge
from igc.seeding import integer_seed

__all__ = ["alpha_grid", "edge_warning", "fit_linear", "fit_logistic", "inner_folds"]

Array = npt.NDArray[np.float64]

logger = logging.getLogger("igc.models")

_UNSEEN = -30.0
"""Logit, below the others, of a class without a training sample."""


def alpha_grid(settings: LinearModel) -> Array:
    """Return the regularisation strengths of the settings, log-spaced and increasing, (alpha,)."""
    smallest, largest, count = settings.alphas
    if not 0 < smallest <= largest or count < 1:
        allowed = "0 < smallest <= largest and a count of 1 or more"
        raise ModelError(explain("alphas", list(settings.alphas), allowed, "correct the grid"))
    return np.geomspace(smallest, largest, int(count))


def inner_folds(groups: Rows, folds: int, seed: int) -> Rows:
    """Deal whole groups to inner folds.

    Parameters
    ----------
    groups : array of int (row,)
        Group of each training sample.
    folds : int
        Number of folds; fewer are made where there are fewer groups.
    seed : int
        Seed of the model.

    Returns
    -------
    array of int (row,)
        Inner fold of each sample.

    Raises
    ------
    DataError
        If there is one group only.
    """
    n_groups = len(np.unique(groups))
    if n_groups < 2:
        raise DataError(explain("training samples", "one group only", "two or more groups", "give more runs or groups"))
    split = GroupKFold(min(folds, n_groups), shuffle=True, random_state=integer_seed(seed, "inner folds") % 2**32)
    labels = np.zeros(len(groups), dtype=np.int64)
    for fold, (_, test) in enumerate(split.split(labels, groups=groups)):
        labels[test] = fold
    return labels


def edge_warning(alphas: Array, grid: Array) -> str | None:
    """Say so if a chosen regularisation is the smallest or largest on offer.

    Parameters
    ----------
    alphas : array (target,)
        The strengths chosen.
    grid : array (alpha,)
        The strengths on offer, increasing.

    Returns
    -------
    str or None
    """
    if len(grid) < 2:
        return None
    low, high = int(np.isclose(alphas, grid[0]).sum()), int(np.isclose(alphas, grid[-1]).sum())
    if low + high == 0:
        return None
    return (
        f"of {len(alphas)} regularisation strengths, {low} are the smallest ({grid[0]:g}) and {high} the largest "
        f"({grid[-1]:g}) of the grid; a wider grid (alphas) may predict better"
    )


# --- logistic -------------------------------------------------------------------------------------------------------


def _affine(model: LogisticRegression, n_classes: int) -> tuple[Array, Array]:
    """Return weights (class, component) and bias (class,) of a fitted classifier, also for two or unseen classes."""
    coefficients, intercepts = model.coef_, model.intercept_
    if len(model.classes_) == 2:
        coefficients, intercepts = np.vstack([-coefficients, coefficients]) / 2, np.r_[-intercepts, intercepts] / 2
    weights, bias = np.zeros((n_classes, coefficients.shape[1])), np.full(n_classes, intercepts.min() + _UNSEEN)
    weights[model.classes_], bias[model.classes_] = coefficients, intercepts
    return weights, bias


def _probabilities(x: Array, weights: Array, bias: Array) -> Array:
    logits = x @ weights.T + bias
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _path(x: Array, y: Rows, test: tuple[Array, Rows], alphas: Array, n_classes: int, patience: int = 3) -> Array:
    """Return the held-out log loss for each alpha, from strong to weak, each fit starting from the one before.

    The weakest are not tried (infinite loss) once the loss has grown ``patience`` times: they are the slow ones.
    """
    losses = np.full(len(alphas), np.inf)
    model = LogisticRegression(warm_start=True, max_iter=300, tol=1e-3)
    for i in np.argsort(alphas)[::-1]:
        model.set_params(C=1.0 / alphas[i]).fit(x, y)
        probabilities = _probabilities(test[0], *_affine(model, n_classes))
        losses[i] = log_loss(test[1], probabilities, labels=np.arange(n_classes))
        tried = losses[i:]
        if int(np.argmin(tried)) >= patience:
            break
    return losses


def fit_logistic(x: Array, y: Rows, inner: Rows, alphas: npt.ArrayLike, n_classes: int) -> LinearFit:
    """Fit multinomial logistic regression, its regularisation chosen by the log loss over inner folds.

    Parameters
    ----------
    x : array (sample, component)
        Training inputs.
    y : array of int (sample,)
        Their classes.
    inner : array of int (sample,)
        Inner fold of each.
    alphas : array (alpha,)
        Strengths on offer, increasing; scikit-learn's C is 1 / alpha.
    n_classes : int
        Number of classes, also where some have no sample here.

    Returns
    -------
    LinearFit
        One alpha, shared by all classes.
    """
    grid = np.asarray(alphas, dtype=np.float64)
    if len(np.unique(y)) < 2:
        raise DataError(explain("training samples", "one category only", "two or more", "give samples of others"))
    losses = np.zeros(len(grid))
    for fold in np.unique(inner):
        train, test = inner != fold, inner == fold
        if len(np.unique(y[train])) > 1:
            losses += np.mean(test) * _path(x[train], y[train], (x[test], y[test]), grid, n_classes)
    best = grid[int(np.argmin(losses))]
    model = LogisticRegression(C=1.0 / best, max_iter=5000, tol=1e-6).fit(x, y)
    weights, bias = _affine(model, n_classes)
    return LinearFit(weights, bias, np.array([best]))


# --- either ---------------------------------------------------------------------------------------------------------


def _fit_banded(x: Array, y: Array, bands: Rows, inner: Rows, grid: Array, seed: int) -> tuple[LinearFit, Array]:
    """Return the fit and its strengths (target, band)."""
    penalties = search_penalties(x, y, bands, inner, grid, seed)
    fit = BandedRidge(x, y, bands).fit(penalties)
    # shares of the bands sum to 1, so that the strengths tell the alpha they share
    return LinearFit(fit.weights, fit.bias, 1 / np.sum(1 / penalties, axis=1)), penalties


def fit_linear(
    settings: LinearModel,
    source: SampleSource,
    groups: Rows,
    rows: Rows,
    categories: bool,
    seed: int,
    bands: Rows | None = None,
) -> tuple[FlatLinear, dict[str, Any]]:
    """Fit the linear model of the settings.

    Parameters
    ----------
    settings : LinearModel
        Kind of fit, strengths on offer and number of inner folds.
    source : SampleSource
        Where samples are read.
    groups : array of int (sample,)
        Group of every sample of the study.
    rows : array of int (row,)
        Training samples, increasing.
    categories : bool
        Responses are one-hot.
    seed : int
        Seed of the inner folds.
    bands : array of int (component,), optional
        For banded ridge: band of each component, from 0 without gaps.

    Returns
    -------
    module : FlatLinear
        In evaluation mode; maps raw inputs to values, or to logits (the one-hot values, with ridge).
    chosen : dict
        ``alphas`` (target or 1), ``warning`` (str or None) and, of banded ridge, ``penalties`` (target, band), for the
        model file.

    Raises
    ------
    ModelError
        If a logistic fit is asked for values, or a banded one without bands.
    """
    if settings.fit == "logistic" and not categories:
        remedy = "use fit: ridge for values"
        raise ModelError(explain("fit", "'logistic' for values", "'logistic' for categories only", remedy))
    grid, inner = alpha_grid(settings), inner_folds(groups[rows], settings.inner_folds, seed)
    chosen: dict[str, Any] = {}
    if settings.fit == "ridge":
        fit = fit_ridge(source, rows, inner, grid)
    else:
        inputs, responses = source.read(rows)
        x, y = inputs.flatten(1).double().numpy(), responses.double().numpy()
        if settings.fit == "logistic":
            fit = fit_logistic(x, y.argmax(axis=1), inner, grid, y.shape[1])
        elif bands is None:
            raise ModelError(explain("fit", "'banded' without bands", "an ROI set", "name one as bands"))
        else:
            fit, penalties = _fit_banded(x, y, bands, inner, grid, seed)
            chosen["penalties"] = penalties.tolist()
    warning = edge_warning(fit.alphas, grid)
    if warning:
        logger.warning(warning)
    module = FlatLinear(fit.weights.shape[1], fit.weights.shape[0]).eval().requires_grad_(False)
    module.readout.weight.copy_(torch.from_numpy(fit.weights))
    module.readout.bias.copy_(torch.from_numpy(fit.bias))
    return module, {"alphas": [float(alpha) for alpha in fit.alphas], "warning": warning, **chosen}
