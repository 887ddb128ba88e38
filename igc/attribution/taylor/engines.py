"""Three ways to the terms: Hessian-vector products, slopes along paths, and outputs at subsets of moved regions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from igc.attribution.gradients import Inputs, Outputs, flatten
from igc.attribution.paths import gauss_kronrod
from igc.attribution.taylor.moved import MovedOutputs
from igc.attribution.taylor.points import couples, joint_slopes, region_masks, subset_slopes
from igc.stats.moments import Array

__all__ = ["ENGINES", "ORDERS", "Region", "Terms", "power_fit"]

ORDERS = 9
"""Orders that slopes along a path are resolved into."""
ROUNDING = 32.0
"""Rounding units of the sum of the magnitudes of all outputs that count for the bounds."""


@dataclass(frozen=True)
class Terms:
    """The fields of :class:`igc.attribution.taylor.decompose.Decomposition`, as tensors."""

    first: Tensor
    independent: Tensor
    interactive: Tensor
    shared: Tensor | None
    pairs: Tensor | None
    by_order: Tensor | None
    interactive_total: Tensor
    change: Tensor
    error: Tensor
    bound: Tensor


@dataclass(frozen=True)
class Region:
    """Baselines, inputs and the regions between which the change is divided.

    Attributes
    ----------
    outputs : Outputs
        What is explained.
    start, stop : tuple of torch.Tensor (sample, ...)
        Baselines and inputs.
    labels : array of int (component,)
        Region of each component, from 0.
    batch_size : int
        Points a pass.
    """

    outputs: Outputs
    start: Inputs
    stop: Inputs
    labels: npt.NDArray[np.int64]
    batch_size: int

    @cached_property
    def masks(self) -> Tensor:
        """Components of each region, (region, component)."""
        return region_masks(self.labels, self.stop[0].device)

    def values(self, subsets: Tensor) -> Tensor:
        """Return outputs where subsets have moved, (sample, target, subset)."""
        few, own = tuple(x[:1] for x in self.stop), np.arange(len(self.stop[0]))
        moved = MovedOutputs.of(self.outputs, few, subsets, len(own), self.batch_size)
        return moved.values((self.start, self.stop), (own, own), self.ends[0]).transpose(1, 2)

    def slopes(self, position: float) -> Tensor:
        """Return slopes along each region where all have moved so far, (sample, target, region)."""
        place = self.stop[0].new_full((len(self.stop[0]),), position)
        return joint_slopes(self.outputs, self.start, self.stop, self.masks, place, self.batch_size)

    def solo_slopes(self, position: float) -> Tensor:
        """Return slopes along each region where it alone has moved so far, (sample, target, region)."""
        place = self.stop[0].new_full((len(self.stop[0]),), position)
        parts = subset_slopes(self.outputs, self.start, self.stop, self.masks, self.masks, place, self.batch_size)
        return parts.permute(1, 2, 0)

    @cached_property
    def ends(self) -> tuple[Tensor, Tensor]:
        """Outputs at baselines and inputs, (sample, target) each."""
        return self._at(self.start), self._at(self.stop)

    def _at(self, inputs: Inputs) -> Tensor:
        batches = zip(*(torch.split(x, self.batch_size) for x in inputs), strict=True)
        with torch.no_grad():
            return torch.cat([self.outputs(batch) for batch in batches])


def by_sets(region: Region, pairs: bool) -> Terms:
    """Return exact effects from outputs at subsets.

    Parameters
    ----------
    region : Region
    pairs : bool
        Whether to form the effects of pairs.

    Returns
    -------
    Terms
    """
    masks, (low, high) = region.masks, region.ends
    alone, without = region.values(masks), region.values(~masks)
    first = region.slopes(0.0)
    solo = alone - low[..., None]
    change = high - low
    total = change - solo.sum(dim=-1)
    size = low.abs() + high.abs() + alone.abs().sum(dim=-1) + first.abs().sum(dim=-1)
    return Terms(
        first,
        solo - first,
        (high + low)[..., None] - alone - without,
        None,
        _pairs(region, solo, low) if pairs else None,
        None,
        total,
        change,
        change - solo.sum(dim=-1) - total,
        ROUNDING * torch.finfo(size.dtype).eps * size,
    )


def _pairs(region: Region, solo: Tensor, low: Tensor) -> Tensor:
    n = len(region.masks)
    left, right = couples(n)
    matrix = solo.new_zeros(*solo.shape, n)
    if len(left):
        joined = region.values(region.masks[left] | region.masks[right]) - low[..., None]
        effect = joined - solo[..., left] - solo[..., right]
        matrix[..., left, right] = effect
        matrix[..., right, left] = effect
    return matrix


def by_path(region: Region, pairs: bool) -> Terms:
    """Return exact effects, and the sharing of interactions by Integrated Gradients, resolved by order.

    The slope along a region at the point t of a path is the sum over terms of (degree in the region) T(k) t^(order-1),
    so a polynomial in t through slopes holds the orders one by one. What a region gets on the path of all minus what
    it gets on the path on which it moves alone is its share of the interactions, without any remainder.

    Parameters
    ----------
    region, pairs
        As for :func:`by_sets`.

    Returns
    -------
    Terms
    """
    exact, rule = by_sets(region, pairs), gauss_kronrod()
    together = torch.stack([region.slopes(float(t)) for t in rule.nodes], dim=-1)
    alone = torch.stack([region.solo_slopes(float(t)) for t in rule.nodes], dim=-1)
    weights, coarse = (together.new_tensor(w) for w in (rule.weights, rule.coarse_weights))
    shared = (together - alone) @ weights
    spread = (together @ (weights - coarse)).abs().sum(dim=-1) + (alone @ (weights - coarse)).abs().sum(dim=-1)
    effects = (exact.first + exact.independent + shared).sum(dim=-1)
    coefficients = power_fit(rule.nodes, together)
    return Terms(
        exact.first,
        exact.independent,
        exact.interactive,
        shared,
        exact.pairs,
        coefficients / torch.arange(1, ORDERS + 1, device=shared.device),
        shared.sum(dim=-1),
        exact.change,
        exact.change - effects,
        spread + exact.bound,
    )


def power_fit(nodes: Array, values: Tensor) -> Tensor:
    """Fit polynomials in t on [0, 1] by least squares.

    Parameters
    ----------
    nodes : array (node,)
        Places.
    values : torch.Tensor (..., node)
        Values at them.

    Returns
    -------
    torch.Tensor (..., power)
        Coefficients of the powers of t from 0 to ``ORDERS - 1``.
    """
    fit = np.linalg.pinv(np.polynomial.legendre.legvander(2 * nodes - 1, ORDERS - 1)).astype(np.float64)
    powers: Array = np.zeros((ORDERS, ORDERS))
    for k in range(ORDERS):
        basis = np.polynomial.Legendre.basis(k, domain=[0, 1]).convert(kind=np.polynomial.Polynomial)
        powers[k, : len(basis.coef)] = basis.coef
    matrix = torch.as_tensor(np.matmul(fit.T, powers), device=values.device)
    return values.double() @ matrix


def by_hessian(region: Region, pairs: bool) -> Terms:
    """Return the terms of first and second order at the baselines.

    Parameters
    ----------
    region, pairs
        As for :func:`by_sets`; pairs come with the rest.

    Returns
    -------
    Terms
    """
    low, high = region.ends
    masks = region.masks.to(low.dtype)
    change = flatten(region.stop) - flatten(region.start)
    leaves = tuple(x.detach().clone().requires_grad_() for x in region.start)
    with torch.enable_grad():
        values = region.outputs(leaves)
    firsts, matrices = [], []
    for k in range(values.shape[1]):
        gradient = _gradient(values[:, k].sum(), leaves, keep=True)
        firsts.append((gradient.detach() * change) @ masks.T)
        products = [_gradient((gradient * change * mask).sum(), leaves, keep=True).detach() for mask in masks]
        matrices.append(torch.stack([(product * change) @ masks.T for product in products], dim=1))
    first, matrix = torch.stack(firsts, dim=1), torch.stack(matrices, dim=1)
    matrix = 0.5 * (matrix + matrix.transpose(-1, -2))
    independent = 0.5 * matrix.diagonal(dim1=-2, dim2=-1)
    pair = matrix - torch.diag_embed(matrix.diagonal(dim1=-2, dim2=-1))
    interactive = pair.sum(dim=-1)
    total = 0.5 * interactive.sum(dim=-1)
    difference = high - low
    error = difference - (first + independent).sum(dim=-1) - total
    rounding = (
        16 * torch.finfo(low.dtype).eps * (high.abs() + low.abs() + first.abs().sum(-1) + matrix.abs().sum((-1, -2)))
    )
    bound = _third_derivative(region) / 6 + rounding
    return Terms(first, independent, interactive, 0.5 * interactive, pair, None, total, difference, error, bound)


def _gradient(value: Tensor, leaves: Inputs, *, keep: bool) -> Tensor:
    if not value.requires_grad:
        return torch.zeros_like(flatten(leaves))
    with torch.enable_grad():
        parts = torch.autograd.grad(
            value, leaves, create_graph=True, retain_graph=keep, allow_unused=True, materialize_grads=True
        )
        return flatten(parts)


def _third_derivative(region: Region) -> Tensor:
    """Return the largest third derivative along the path, of a polynomial through slopes, (sample, target)."""
    nodes = gauss_kronrod().nodes
    whole = Region(region.outputs, region.start, region.stop, np.zeros_like(region.labels), region.batch_size)
    slopes = torch.stack([whole.slopes(float(t))[..., 0] for t in nodes], dim=-1)
    powers = np.arange(ORDERS)
    grid = np.linspace(0, 1, 65)[:, None]
    second = np.where(powers >= 2, powers * (powers - 1) * grid ** np.maximum(powers - 2, 0), 0.0)
    return (power_fit(nodes, slopes) @ torch.as_tensor(second.T, device=slopes.device)).abs().amax(dim=-1).to(slopes)


ENGINES: dict[str, Callable[[Region, bool], Terms]] = {"hessian": by_hessian, "path": by_path, "sets": by_sets}
"""How terms can be found."""
