"""Cascading randomisation of a model: a map that stays the same does not come from what was learned (1810.03292)."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import torch
from scipy.ndimage import uniform_filter
from torch import nn

from igc.comparison.judged import Array, image_grid, unit_maps
from igc.seeding import integer_seed
from igc.stats.ranks import average_ranks

__all__ = [
    "cascade",
    "depths",
    "learned_layers",
    "pearson",
    "rank_similarity",
    "seed_similarity",
    "similarities",
    "structural_similarity",
]

MOST_DEPTHS = 3
WINDOW = 5


def learned_layers(model: nn.Module) -> list[str]:
    """Return the names of the modules that hold parameters of their own, the last one first."""
    held = [name for name, module in model.named_modules() if any(True for _ in module.parameters(recurse=False))]
    return held[::-1]


def cascade(model: nn.Module, seed: int) -> Iterator[tuple[str, nn.Module]]:
    """Make copies of a model in which ever more layers have new random parameters, from the last layer on.

    Parameters
    ----------
    model : torch.nn.Module
        Left as it is.
    seed : int
        Of the parameters.

    Yields
    ------
    str, torch.nn.Module
        Name of the layer that was randomised last, and the copy. Layers start anew as at their construction; parameters
        of layers that cannot are shuffled. Buffers (running means, statistics of the inputs) are kept: the first come
        from the data, and without the second the randomised model would be blind rather than random.
    """
    current = model
    for depth, name in enumerate(learned_layers(model)):
        current = copy.deepcopy(current)
        layer = current.get_submodule(name)
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(integer_seed(seed, "randomised layer", depth))
            _restart(layer)
        yield name, current


def depths(model: nn.Module, seed: int) -> Iterator[tuple[float, nn.Module]]:
    """Make some copies of the cascade, at most three and the deepest always.

    Parameters
    ----------
    model, seed
        As for :func:`cascade`.

    Yields
    ------
    float, torch.nn.Module
        Share of the layers with random parameters, and the copy.
    """
    n = len(learned_layers(model))
    shown = set(np.linspace(1, n, min(n, MOST_DEPTHS)).round().astype(int).tolist())
    for depth, (_, module) in enumerate(cascade(model, seed), 1):
        if depth in shown:
            yield depth / n, module


def _restart(layer: nn.Module) -> None:
    reset = getattr(layer, "reset_parameters", None)
    if not callable(reset):
        for values in layer.parameters(recurse=False):
            values.copy_(values.flatten()[torch.randperm(values.numel())].reshape(values.shape))
        return
    kept = {name: value.clone() for name, value in layer.named_buffers(recurse=False)}
    reset()
    for name, value in layer.named_buffers(recurse=False):
        value.copy_(kept[name])


def similarities(before: Array, after: Array) -> dict[str, Array]:
    """Compare maps (map, component...) one by one: by ranks, and images by structure too, (map,) by measure."""
    shape = before.shape[1:]
    pairs = list(zip(unit_maps(before, shape), unit_maps(after, shape), strict=True))
    found = {"rank": np.array([rank_similarity(a, b) for a, b in pairs])}
    grid = image_grid(shape)
    if grid is not None and min(grid) >= WINDOW:
        structure = [structural_similarity(a.reshape(grid), b.reshape(grid), WINDOW) for a, b in pairs]
        found["ssim"] = np.array(structure)
    return found


def structural_similarity(a: Array, b: Array, window: int = 5) -> float:
    """Return the mean structural similarity of two images, each over its largest magnitude.

    The index of Wang et al. (2004) with a uniform window and a data range of 2 (from -1 to 1), over all windows inside
    the image.

    Parameters
    ----------
    a, b : array (row, column)
        Maps, at least ``window`` in each direction.
    window : int
        Odd number of pixels.

    Returns
    -------
    float
        1 for maps that are equal up to a positive factor.
    """
    x, y = (values / (np.abs(values).max() or 1.0) for values in (a, b))
    n = window * window
    mean_x, mean_y = uniform_filter(x, window), uniform_filter(y, window)
    unbiased = n / (n - 1)
    var_x, var_y = ((uniform_filter(v * v, window) - m * m) * unbiased for v, m in ((x, mean_x), (y, mean_y)))
    covariance = (uniform_filter(x * y, window) - mean_x * mean_y) * unbiased
    c1, c2 = (0.01 * 2) ** 2, (0.03 * 2) ** 2
    index = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    index /= (mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2)
    edge = window // 2
    return float(index[edge : index.shape[0] - edge, edge : index.shape[1] - edge].mean())


def pearson(a: Array, b: Array) -> float:
    """Return the correlation of two maps, (unit,); 0 where one of them is constant."""
    x, y = (np.asarray(values, dtype=np.float64) - np.mean(values) for values in (a, b))
    size = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / size if size > 0 else 0.0


def rank_similarity(a: Array, b: Array) -> float:
    """Return Spearman's correlation of two maps, (unit,); 0 where one of them is constant."""
    return pearson(average_ranks(a), average_ranks(b))


def seed_similarity(values: Array, errors: Array) -> float:
    """Return the correlation to be expected of two maps whose draws are independent.

    Parameters
    ----------
    values : array (unit,)
        A map.
    errors : array (unit,)
        Standard errors of its estimator.

    Returns
    -------
    float
        The share of the map's variance over units that is not the estimator's, at least 0; 1 where nothing is drawn,
        NaN where the errors are not known or the map is constant.
    """
    variance = float(np.var(values))
    if not np.isfinite(errors).all() or not variance > 0:
        return float("nan")
    return max(0.0, 1.0 - float(np.mean(errors**2)) / variance)
