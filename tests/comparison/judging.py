"""Models with known answers, as the yardsticks see them."""

import numpy as np

from igc.comparison.judged import Array, Judged, Rows


def linear_judged(
    n: int = 6, d: int = 12, *, shape: tuple[int, ...] = (), seed: int = 0, targets: int = 2
) -> tuple[Judged, Array]:
    """Return judged samples of a linear model of values, and its exact contributions against zero, (sample, unit)."""
    random = np.random.default_rng(seed)
    shape = shape or (d,)
    inputs, weights = random.normal(size=(n, *shape)), random.normal(size=(targets, *shape))
    explained = np.arange(n) % targets

    def predict(changed: Array, origin: Rows) -> Array:
        return changed.reshape(len(changed), -1) @ weights.reshape(targets, -1).T + 0.7

    contributions = (weights[explained] * inputs).reshape(n, shape[0] if len(shape) == 3 else 1, -1).sum(axis=1)
    return Judged(inputs, explained, predict, False, np.arange(n), np.full(targets, 2.0)), contributions


def softmax_judged(n: int = 8, d: int = 20, seed: int = 0) -> tuple[Judged, Array]:
    """Return judged samples of a classifier with linear logits, and contributions to the log odds, (sample, unit)."""
    random = np.random.default_rng(seed)
    inputs, weights = random.normal(size=(n, d)), random.normal(size=(2, d))
    # each sample is explained towards the class the model gives it
    explained = (inputs @ weights.T).argmax(axis=1)

    def predict(changed: Array, origin: Rows) -> Array:
        return changed @ weights.T

    contributions = (weights[explained] - weights[1 - explained]) * inputs
    return Judged(inputs, explained, predict, True, np.arange(n)), contributions
