"""The nodes of a path integral, chosen by the error that two nested rules show on a few samples."""

from __future__ import annotations

import numpy as np
import torch

from igc.attribution.gradients import Inputs
from igc.attribution.paths import Quadrature, gauss_kronrod, gauss_legendre
from igc.attribution.problem import Problem
from igc.attribution.standard.integrated_gradients import IntegratedGradients

__all__ = ["QUADRATURE_TOLERANCE", "choose_quadrature"]

PROBE_SAMPLES = 128
PANELS = (1, 2, 4, 8, 16)
QUADRATURE_TOLERANCE = 1e-2
"""Difference allowed between the two rules. It is the error of the coarser one: on a smooth network the finer rule was
measured to be at least three orders of magnitude better."""
GAP_TOLERANCE = 1e-4


def choose_quadrature(
    problem: Problem, baselines: Inputs, points: float | None, tolerance: float = QUADRATURE_TOLERANCE
) -> Quadrature:
    """Choose the nodes of a path integral.

    Parameters
    ----------
    problem : Problem
        The attribution to be made.
    baselines : tuple of torch.Tensor
        The reference inputs.
    points : float, optional
        Gradient points a sample over all baselines: then a Gauss-Legendre rule of so many nodes.
    tolerance : float
        Else: relative difference, per component, between the Kronrod and the Gauss rule on evenly spaced samples that
        must be reached by halving the panels. The sums of the maps must besides be f(x) - f(x0) to 1e-4 of their size;
        alone that would not do, since errors of components can cancel in it.

    Returns
    -------
    Quadrature
    """
    if points is not None:
        return gauss_legendre(max(1, round(points / len(baselines[0]))))
    n = problem.n_samples
    rows = np.unique(np.linspace(0, n - 1, min(n, PROBE_SAMPLES)).round().astype(np.int64))
    inputs = problem.load(rows)[0]
    with torch.no_grad():
        change = problem.outputs(inputs) - problem.outputs(baselines).mean(dim=0)
    for panels in PANELS:
        rule = gauss_kronrod(panels)
        method = IntegratedGradients(baselines, rule, problem.batch_size)
        fine, coarse = method.attribute_twice(problem.outputs, inputs)
        gap = float((fine.sum(dim=2) - change).norm())
        close = float((fine - coarse).norm()) <= tolerance * float(fine.norm())
        if close and gap <= GAP_TOLERANCE * float(change.norm()):
            break
    return rule
