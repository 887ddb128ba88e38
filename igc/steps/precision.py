"""The precision of products on a GPU: TensorFloat-32 only where it is measured not to change the map."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from igc.attribution.gradients import flatten, output_gradients, shift
from igc.attribution.paths import gauss_legendre
from igc.attribution.problem import Problem

__all__ = ["allows_tf32", "products_in_float32"]

PROBE_PAIRS, NODES = 16, 16
TOLERANCE = 1e-3
"""Of the largest change of an output: how far completeness may be off, beyond what the nodes leave."""


@contextmanager
def products_in_float32(tf32: bool) -> Iterator[None]:
    """Set whether products and convolutions on a GPU may round to TensorFloat-32, and restore it afterwards.

    By default torch lets convolutions round, which gradients and their sums do not survive in every model.
    """
    products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    before = products.allow_tf32, convolutions.allow_tf32
    try:
        products.allow_tf32 = convolutions.allow_tf32 = tf32
        yield
    finally:
        products.allow_tf32, convolutions.allow_tf32 = before


def allows_tf32(problem: Problem) -> bool:
    """Say whether Integrated Gradients of a few pairs of samples stay complete with TensorFloat-32.

    Parameters
    ----------
    problem : Problem
        The attribution to be made; on anything but a GPU, or not in float32, the answer is no.

    Returns
    -------
    bool
    """
    if problem.device.type != "cuda" or problem.dtype != torch.float32:
        return False
    with products_in_float32(True):
        rounded = completeness_gap(problem)
    with products_in_float32(False):
        full = completeness_gap(problem)
    return rounded <= full + TOLERANCE


def completeness_gap(problem: Problem) -> float:
    """Return the largest gap of Integrated Gradients between pairs of samples, over the largest change of an output."""
    count = min(2 * PROBE_PAIRS, problem.n_samples - problem.n_samples % 2)
    rows = np.unique(np.linspace(0, problem.n_samples - 1, count).round().astype(np.int64))
    half = len(rows) // 2
    inputs = problem.load(rows[: 2 * half])[0]
    start, stop = tuple(x[:half] for x in inputs), tuple(x[half:] for x in inputs)
    rule, difference = gauss_legendre(NODES), flatten(stop) - flatten(start)
    total = torch.zeros((), dtype=torch.float64, device=problem.device)
    for node, weight in zip(rule.nodes, rule.weights, strict=True):
        where = torch.full((half,), float(node), dtype=problem.dtype, device=problem.device)
        maps = output_gradients(problem.outputs, shift(start, stop, where))
        total = total + weight * torch.stack([(g * difference).double().sum(dim=1) for g in maps], dim=1)
    # the ends in full precision: what the path must add up to
    with torch.no_grad(), products_in_float32(False):
        change = (problem.outputs(stop) - problem.outputs(start)).double()
    return float((total - change).abs().max() / change.abs().max().clamp_min(1e-300))
