"""What a model does between a baseline and an input: effects of regions alone, and of regions together.

With T(k) the term of the multi-index k in the Taylor series of f around the baseline, a region's *first-order* effect
holds the terms of order 1 in it, its *independent* effect those of higher order in it alone, its *interactive* effect
all terms that join it with another region. All three can be had without the series, from outputs at points where only
some regions have moved (v(S) below), for any network and exactly:

    first(R) = g.D_R     independent(R) = v(R) - v() - g.D_R     pair(R, S) = v(RS) - v(R) - v(S) + v()
    interactive(R) = v(all) - v(R) - v(all but R) + v()
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from igc.attribution.gradients import Inputs, Outputs
from igc.attribution.standard.baseline_shapley import feature_labels
from igc.attribution.taylor.engines import ENGINES, Region, Terms
from igc.attribution.taylor.smoothness import find_kinks
from igc.errors import MethodError, ShapeError, explain
from igc.stats.moments import Array

__all__ = ["Decomposition", "as_tensors", "decompose", "matching"]

Engine = Literal["auto", "hessian", "path", "sets"]
TOLERANCE = 0.01
"""Largest error of the second-order expansion, of the change, with which it is taken without being asked for."""


@dataclass(frozen=True)
class Decomposition:
    """The terms of a batch of samples.

    Attributes
    ----------
    first, independent, interactive : array (sample, target, region)
        Effects of each region: of first order, of higher order alone, and of all terms that join it with others
        (a term of two regions stands in both).
    shared : array (sample, target, region) or None
        The part of the interactive effects that Integrated Gradients gives to each region (by degree); None from
        the engine of sets, which looks at no path.
    pairs : array (sample, target, region, region) or None
        Effects of exactly two regions, symmetric, 0 on the diagonal.
    by_order : array (sample, target, region, order) or None
        Integrated Gradients of each region, resolved by order from 1 (path engine only).
    interactive_total : array (sample, target)
        All terms of two or more regions, each counted once.
    change : array (sample, target)
        Output at the input minus output at the baseline.
    error : array (sample, target)
        What the terms leave unexplained: ``change`` minus all effects.
    bound : array (sample, target)
        What ``|error|`` should stay below: for "hessian" the Lagrange remainder max |d3/dt3 f| / 6 along the path, of
        a polynomial through 15 slopes; for "path" the difference of the 15-point Kronrod and the 7-point Gauss rule,
        and rounding; for "sets" rounding alone.
    engine, reason : str
        What was used, and why.
    """

    first: Array
    independent: Array
    interactive: Array
    shared: Array | None
    pairs: Array | None
    by_order: Array | None
    interactive_total: Array
    change: Array
    error: Array
    bound: Array
    engine: str
    reason: str


def decompose(
    model: Callable[..., Any],
    inputs: Any,
    baselines: Any,
    rois: Any = None,
    *,
    engine: Engine = "auto",
    pairs: bool = True,
    targets: Sequence[int] | None = None,
    output: str = "raw",
    batch_size: int = 256,
) -> Decomposition:
    """Decompose the change of a model's outputs between baselines and inputs.

    Parameters
    ----------
    model : torch.nn.Module or callable
        Maps (batch, *input_shape) to (batch, target), in evaluation mode; several inputs are several arguments.
    inputs : array, torch.Tensor or tuple of them (sample, ...)
    baselines : as inputs
        One for all samples, or one a sample.
    rois : array, optional
        Labels of the input's shape; default: every component is a region.
    engine : {"auto", "hessian", "path", "sets"}
        "hessian": second-order terms by Hessian-vector products, for smooth models; "path": exact effects, and how
        Integrated Gradients shares interactions, order by order, for smooth models; "sets": exact effects, for any.
        "auto" takes "sets" where an operation has a kink, else "hessian" where its error is below 1 %, else "path".
    pairs : bool
        Whether to form the effects of pairs: regions * (regions - 1) / 2 forward passes beyond "hessian".
    targets : sequence of int, optional
        Outputs; default: all.
    output : str
        "raw", "probability" or "log_probability".
    batch_size : int
        Points a pass.

    Returns
    -------
    Decomposition

    Raises
    ------
    MethodError, ShapeError
        If the engine is unknown, or the arrays do not fit together.
    """
    if engine != "auto" and engine not in ENGINES:
        raise MethodError(explain("engine", repr(engine), ["auto", *ENGINES], "choose one of them"))
    outputs = Outputs(model, output, None if targets is None else tuple(targets))
    stop = as_tensors(inputs)
    start = matching(as_tensors(baselines, stop), stop)
    labels = feature_labels(rois, tuple(tuple(x.shape[1:]) for x in stop))
    region = Region(outputs, start, stop, labels, batch_size)
    name, reason = _choose(engine, region)
    terms = ENGINES[name](region, pairs or name == "hessian")
    if engine == "auto" and name == "hessian" and not _accurate(terms):
        left = float((terms.error.abs().sum() / terms.change.abs().sum()).item())
        name, reason = "path", f"smooth, and second order leaves {left:.2g} of the change"
        terms = ENGINES[name](region, pairs)
    return _finished(terms, name, reason)


def as_tensors(values: Any, like: Inputs | None = None) -> Inputs:
    """Return inputs as tensors.

    Parameters
    ----------
    values : array, torch.Tensor or tuple of them
        A single input may come bare.
    like : tuple of torch.Tensor, optional
        Inputs whose number, precision and device are taken over.

    Returns
    -------
    tuple of torch.Tensor
    """
    given = values if isinstance(values, tuple) else (values,)
    if like is not None and len(given) != len(like):
        raise ShapeError(explain("baselines", f"{len(given)} arrays", f"{len(like)}, one an input", "pass a tuple"))
    tensors = (torch.as_tensor(np.asarray(x) if not isinstance(x, Tensor) else x).detach() for x in given)
    if like is None:
        return tuple(tensors)
    return tuple(x.to(y.device, y.dtype) for x, y in zip(tensors, like, strict=True))


def matching(start: Inputs, stop: Inputs) -> Inputs:
    """Give every sample its baseline.

    Parameters
    ----------
    start, stop : tuple of torch.Tensor
        Baselines, one for all samples or one a sample; inputs (sample, ...).

    Returns
    -------
    tuple of torch.Tensor (sample, ...)

    Raises
    ------
    ShapeError
        If the shapes differ.
    """
    matched = []
    for low, high in zip(start, stop, strict=True):
        low = low[None] if low.shape == high.shape[1:] else low
        if low.shape[1:] != high.shape[1:] or len(low) not in (1, len(high)):
            allowed = f"{tuple(high.shape[1:])}, one for all or one a sample"
            raise ShapeError(explain("baselines", tuple(low.shape), allowed, "pass arrays that match"))
        matched.append(low.expand_as(high).contiguous())
    return tuple(matched)


def _choose(engine: Engine, region: Region) -> tuple[str, str]:
    """Return the engine to begin with, and why."""
    if engine != "auto":
        return engine, "asked for"
    kinks = find_kinks(region.outputs, tuple(x[:1] for x in region.stop))
    if kinks:
        return "sets", f"kinks: {', '.join(kinks)}"
    return "hessian", "smooth, and second order is enough"


def _accurate(terms: Terms) -> bool:
    return bool(terms.error.abs().sum() <= TOLERANCE * terms.change.abs().sum())


def _finished(terms: Terms, engine: str, reason: str) -> Decomposition:
    def array(value: Tensor | None) -> Array | None:
        return None if value is None else value.double().cpu().numpy()

    values = {name: array(getattr(terms, name)) for name in Terms.__dataclass_fields__}
    return Decomposition(**values, engine=engine, reason=reason)  # type: ignore[arg-type]
