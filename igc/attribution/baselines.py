"""Reference inputs shared by all samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from igc.attribution.gradients import Inputs
from igc.attribution.problem import Problem
from igc.attribution.scores import Scores
from igc.errors import MethodError, ShapeError, explain
from igc.seeding import generator

__all__ = ["shared_baselines"]


def shared_baselines(choice: Any, problem: Problem, scores: Scores) -> Inputs:
    """Return the baselines of a path method.

    Parameters
    ----------
    choice : str, int or array
        "zero"; "mean" (of the samples); a number, to draw so many samples once; or an array of one input's shape, or
        several on a leading axis (a tuple of them for several inputs).
    problem : Problem
        The attribution to be made.
    scores : Scores
        Of the same samples.

    Returns
    -------
    tuple of torch.Tensor (baseline, ...)
        One tensor an input.

    Raises
    ------
    MethodError, ShapeError
        If the choice is not one of these, or an array does not fit.
    """
    shapes = problem.source.input_shapes
    if isinstance(choice, str):
        if choice == "zero":
            flat = np.zeros((1, problem.n_components))
        elif choice == "mean":
            flat = scores.pooled.mean_map[0]
        else:
            allowed = "'data', 'zero', 'mean', a number or an array"
            raise MethodError(explain("baselines", repr(choice), allowed, "choose one of them"))
        parts = np.split(flat, np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1], axis=1)
        arrays = [part.reshape(-1, *shape) for part, shape in zip(parts, shapes, strict=True)]
    elif isinstance(choice, (int, np.integer)) and not isinstance(choice, bool):
        return _drawn(int(choice), problem)
    else:
        arrays = _given(choice, shapes)
    return tuple(torch.as_tensor(np.asarray(x)).to(problem.device, problem.dtype) for x in arrays)


def _drawn(count: int, problem: Problem) -> Inputs:
    if not 1 <= count <= problem.n_samples:
        allowed = f"1 to {problem.n_samples} (the samples)"
        raise MethodError(explain("baselines", count, allowed, "draw fewer, or choose 'data' for all of them"))
    rows = generator(problem.seed, "baselines").choice(problem.n_samples, count, replace=False)
    return problem.load(np.sort(rows))[0]


def _given(choice: Any, shapes: tuple[tuple[int, ...], ...]) -> list[np.ndarray[Any, Any]]:
    given = choice if isinstance(choice, (tuple, list)) and len(shapes) > 1 else (choice,)
    arrays = []
    if len(given) != len(shapes):
        raise ShapeError(explain("baselines", f"{len(given)} arrays", f"{len(shapes)}, one an input", "pass a tuple"))
    for value, shape in zip(given, shapes, strict=True):
        array = np.asarray(value)
        array = array[None] if array.shape == shape else array
        if array.shape[1:] != shape or array.ndim != len(shape) + 1 or not len(array):
            allowed = f"{shape} or (n_baselines, {', '.join(map(str, shape))})"
            raise ShapeError(explain("baselines", np.shape(value), allowed, "pass an array of the input's shape"))
        arrays.append(array)
    return arrays
