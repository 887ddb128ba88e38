"""Attributions predicted from terms, to be held beside what the methods themselves give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from igc.attribution.gradients import Inputs, Outputs, flatten, output_gradients, shift
from igc.attribution.paths import gauss_kronrod
from igc.attribution.standard.baseline_shapley import feature_labels
from igc.attribution.standard.layered import ACTIVATIONS, layers_of, own_copy, raw_module
from igc.attribution.taylor.engines import ORDERS, Region, power_fit
from igc.attribution.taylor.terms import as_tensors, decompose, matching
from igc.attribution.taylor.weights import find_weighting
from igc.errors import MethodError, explain
from igc.stats.moments import Array

__all__ = ["Reformulated", "agreement", "reformulate"]


@dataclass(frozen=True)
class Reformulated:
    """An attribution predicted from terms.

    Attributes
    ----------
    method : str
        The method.
    predicted : array (sample, target, region)
        Its attribution, from terms up to ``order``.
    order : int
        Highest order of the terms, of each neuron for layered methods.
    left : array (sample, target)
        Change of the outputs minus all terms used, 0 for layered methods, whose terms are those of neurons.
    """

    method: str
    predicted: Array
    order: int
    left: Array


def reformulate(
    method: str,
    model: Callable[..., Any],
    inputs: Any,
    baselines: Any,
    rois: Any = None,
    order: int = 2,
    segments: int = 1,
    engine: Literal["hessian", "sets"] = "hessian",
) -> Reformulated:
    """Predict the attribution of a method from Taylor terms and its weights.

    Parameters
    ----------
    method : str
        A key of :data:`igc.attribution.taylor.weights.WEIGHTINGS`.
    model, inputs, baselines, rois
        As for :func:`igc.attribution.taylor.decompose`. For "expected_gradients" and "baseline_shapley" the mean over
        all baselines is taken; for "lrp_epsilon" they are zero, and the terms those of each neuron around zero. The
        regions are the features of "occlusion", "occlusion_patch" and "baseline_shapley".
    order : int
        Highest order of the terms. Terms of whole networks are of second order by Hessian-vector products; higher ones
        are known only by degree, which is enough for "gradient_x_input", "integrated_gradients" and
        "expected_gradients" (up to 9: of a polynomial fitted to the whole path, whose highest order takes in the rest).
    segments : int
        Of layered methods: the series of a neuron is made anew at so many points of its way, since that of a sigmoid
        holds only for changes below pi.
    engine : {"hessian", "sets"}
        "sets" takes exact effects, of all orders, for methods whose weights depend on who takes part only: all effects
        that join a region with others for "occlusion" and "occlusion_patch"; those of every set of regions for
        "baseline_shapley" where there are no more than 10 regions, else those of pairs.

    Returns
    -------
    Reformulated
    """
    weighting = find_weighting(method)
    if order < 1 or (order != 2 and not weighting.layered and (method not in BY_DEGREE or order > ORDERS)):
        allowed = f"2 (1 to {ORDERS} for {', '.join(BY_DEGREE)}; any for layered methods)"
        raise MethodError(explain("order", order, allowed, "choose another order"))
    if engine == "sets" and method not in BY_MEMBERS:
        raise MethodError(explain("engine", engine, f"hessian, or sets for {', '.join(BY_MEMBERS)}", "choose hessian"))
    if weighting.layered:
        return _layered(method, model, inputs, baselines, rois, order, segments)
    if weighting.baseline != "data":
        return _of_terms(method, model, inputs, baselines, rois, order, engine)
    references = as_tensors(baselines, as_tensors(inputs))
    parts = []
    for b in range(len(references[0])):
        one = tuple(x[b : b + 1] for x in references)
        parts.append(_of_terms(method, model, inputs, one, rois, order, engine))
    predicted, left = (np.mean([getattr(part, name) for part in parts], axis=0) for name in ("predicted", "left"))
    return Reformulated(method, predicted, order, left)


def agreement(predicted: npt.ArrayLike, real: npt.ArrayLike) -> tuple[float, float]:
    """Return the mean absolute difference of two attributions, and their correlation.

    Parameters
    ----------
    predicted, real : array
        Of the same shape.
    """
    a, b = (np.asarray(values, dtype=np.float64).ravel() for values in (predicted, real))
    return float(np.abs(a - b).mean()), float(np.corrcoef(a, b)[0, 1])


def _of_terms(
    method: str, model: Callable[..., Any], inputs: Any, baselines: Any, rois: Any, order: int, engine: str
) -> Reformulated:
    if method in BY_DEGREE:
        return _by_degree(method, model, inputs, baselines, rois, order)
    if engine == "sets" and method == "baseline_shapley":
        region = _region(model, inputs, baselines, rois)
        if len(region.masks) <= FEW:
            return _of_all_sets(method, region)
    found = decompose(model, inputs, baselines, rois, engine="sets" if engine == "sets" else "hessian")
    if found.pairs is None:
        raise MethodError(explain("pairs", None, "the effects of pairs", "use the Hessian engine"))
    weights = find_weighting(method).weights
    alone, together = weights(np.array([2, 0]))[0], weights(np.array([1, 1]))[0]
    solo, pairs = found.first + alone * found.independent, found.pairs.sum(axis=-1)
    if engine == "sets" and together == 1:
        return Reformulated(method, solo + found.interactive, 2, found.error)
    left = found.interactive_total - 0.5 * pairs.sum(axis=-1)
    return Reformulated(method, solo + together * pairs, 2, found.error + left)


def _region(model: Callable[..., Any], inputs: Any, baselines: Any, rois: Any) -> Region:
    stop = as_tensors(inputs)
    labels = feature_labels(rois, tuple(tuple(x.shape[1:]) for x in stop))
    return Region(Outputs(model), matching(as_tensors(baselines, stop), stop), stop, labels, BATCH)


def _of_all_sets(method: str, region: Region) -> Reformulated:
    """Hand out the exact effect of every set of regions: its output minus the effects of all smaller sets."""
    n, change = len(region.masks), region.ends[1] - region.ends[0]
    members = (np.arange(2**n)[:, None] >> np.arange(n)) % 2 == 1
    masks = region.masks.double()
    subsets = torch.as_tensor(members, dtype=masks.dtype, device=masks.device) @ masks > 0
    effects = region.values(subsets).double().cpu().numpy()
    for r in range(n):
        effects[..., members[:, r]] -= effects[..., ~members[:, r]]
    weights = np.stack([find_weighting(method).weights(taking_part) for taking_part in members[1:].astype(np.int64)])
    left = change.double().cpu().numpy() - effects[..., 1:].sum(axis=-1)
    return Reformulated(method, effects[..., 1:] @ weights, n, left)


FEW = 10
"""Regions, of whose sets all effects can be formed."""
BATCH = 1024
"""Points a pass."""
BY_MEMBERS = ("occlusion", "occlusion_patch", "baseline_shapley")
"""Methods whose weights depend on which regions take part in a term, and not on how often."""


# --- whole networks, by degree ----------------------------------------------------------------------------------------


BY_DEGREE: dict[str, Callable[[int], float]] = {
    "gradient_x_input": float,
    "integrated_gradients": lambda _: 1.0,
    "expected_gradients": lambda _: 1.0,
}
"""How often methods hand out k_i/|k| of a term, from its order |k|."""


def _by_degree(
    method: str, model: Callable[..., Any], inputs: Any, baselines: Any, rois: Any, order: int
) -> Reformulated:
    """Resolve gradients along the path by order: the coefficient of t^(n-1) is the sum of k_i T(k) over |k| = n."""
    stop = as_tensors(inputs)
    start, outputs = matching(as_tensors(baselines, stop), stop), Outputs(model)
    change, nodes = (flatten(stop) - flatten(start))[:, None], gauss_kronrod().nodes
    slopes = []
    for t in nodes:
        points = shift(start, stop, stop[0].new_full((len(stop[0]),), float(t)))
        slopes.append(torch.stack(output_gradients(outputs, points), dim=1).detach() * change)
    coefficients = power_fit(nodes, torch.stack(slopes, dim=-1))[..., :order].cpu().numpy()
    labels = feature_labels(rois, tuple(tuple(x.shape[1:]) for x in stop))
    members = (labels[:, None] == np.arange(labels.max() + 1)).astype(np.float64)
    orders = np.arange(1, order + 1)
    predicted = coefficients @ np.array([BY_DEGREE[method](int(n)) / n for n in orders])
    with torch.no_grad():
        total = (outputs(stop) - outputs(start)).double().cpu().numpy()
    return Reformulated(method, predicted @ members, order, total - (coefficients / orders).sum(axis=(-1, -2)))


# --- layered methods: terms of every neuron, handed down layer by layer -----------------------------------------------


def _layered(
    method: str, model: Callable[..., Any], inputs: Any, baselines: Any, rois: Any, order: int, segments: int
) -> Reformulated:
    stop = as_tensors(inputs)
    start = matching(as_tensors(baselines, stop), stop)
    module = own_copy(raw_module(method, Outputs(model)))
    neurons = [layer for _, layer in layers_of(module) if type(layer) in ACTIVATIONS]
    at_stop = _arriving(module, neurons, stop)
    zero = method == "lrp_epsilon"
    at_start = [torch.zeros_like(z) for z in at_stop] if zero else _arriving(module, neurons, start)
    factors = [_factor(*parts, order, segments, zero) for parts in zip(neurons, at_start, at_stop, strict=True)]
    handles = [
        layer.register_forward_hook(partial(_scaled, factor)) for layer, factor in zip(neurons, factors, strict=True)
    ]
    leaves = tuple(x.detach().clone().requires_grad_() for x in stop)
    gradients = torch.stack(output_gradients(Outputs(module), leaves), dim=1)
    for handle in handles:
        handle.remove()
    change = flatten(stop) if zero else flatten(stop) - flatten(start)
    maps = (gradients * change[:, None]).double().cpu().numpy()
    labels = feature_labels(rois, tuple(tuple(x.shape[1:]) for x in stop))
    members = (labels[:, None] == np.arange(labels.max() + 1)).astype(np.float64)
    return Reformulated(method, maps @ members, order, np.zeros(maps.shape[:2]))


def _arriving(module: nn.Module, neurons: list[nn.Module], inputs: Inputs) -> list[Tensor]:
    """Return what arrives at each layer of neurons."""
    seen: list[Tensor] = []
    handles = [layer.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach())) for layer in neurons]
    with torch.no_grad():
        module(*inputs)
    for handle in handles:
        handle.remove()
    return seen


def _factor(layer: nn.Module, low: Tensor, high: Tensor, order: int, segments: int, zero: bool) -> Tensor:
    """Return what a neuron's change is multiplied by: its series up to an order, divided by the change.

    Where relevance starts at zero, what a neuron gives at zero goes to its inputs, too: that term has no order.
    """
    change, total = high - low, torch.zeros_like(low)
    if zero:
        total = layer(low) / torch.where(change == 0, torch.ones_like(change), change)
    for s in range(segments):
        point = (low + change * (s / segments)).requires_grad_()
        with torch.enable_grad():
            derivative, factorial = layer(point), 1.0
            for n in range(1, order + 1):
                (derivative,) = torch.autograd.grad(derivative.sum(), point, create_graph=True)
                factorial *= n
                total = total + derivative.detach() * change ** (n - 1) / (segments**n * factorial)
                if not derivative.requires_grad:
                    break
    return total.detach()


def _scaled(factor: Tensor, layer: nn.Module, given: tuple[Tensor, ...], result: Tensor) -> Tensor:
    """Put a multiple of what arrives in the place of a neuron's output: only its slope matters."""
    return given[0] * factor
