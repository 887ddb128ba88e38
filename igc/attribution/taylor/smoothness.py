"""Which operations of a model have kinks, read from the graph of its derivatives: functions count as modules do."""

from __future__ import annotations

import re
from typing import Any

import torch

from igc.attribution.gradients import Inputs, Outputs

__all__ = ["KINKED", "find_kinks", "find_operations"]

KINKED = (
    *("Abs", "Amax", "Amin", "Aminmax", "Ceil", "Clamp", "Elu", "Floor", "Hardshrink", "Hardsigmoid", "Hardswish"),
    *(
        "Hardtanh",
        "Kthvalue",
        "LeakyRelu",
        "Max",
        "Maximum",
        "Median",
        "Min",
        "Minimum",
        "PreluKernel",
        "Relu",
        "Round",
    ),
    *("Rrelu", "RreluWithNoise", "Sgn", "Sign", "Softshrink", "Sort", "Threshold", "Topk", "Trunc"),
    *("MaxPool1D", "MaxPool2D", "MaxPool2DWithIndices", "MaxPool3DWithIndices", "AdaptiveMaxPool2D"),
)
"""Operations whose first or second derivative jumps, by the name of their derivative."""


def find_operations(outputs: Outputs, inputs: Inputs) -> list[str]:
    """Return the names of all operations between inputs and outputs.

    Parameters
    ----------
    outputs : Outputs
        What is explained.
    inputs : tuple of torch.Tensor (batch, ...)
        A sample or more to try.

    Returns
    -------
    list of str
        Each once, in alphabetical order; empty where the outputs have no derivative.
    """
    leaves = tuple(x.detach().clone().requires_grad_() for x in inputs)
    with torch.enable_grad():
        found: set[str] = set()
        waiting: list[Any] = [outputs(leaves).grad_fn]
    known: set[Any] = set()
    while waiting:
        node = waiting.pop()
        if node is None or node in known:
            continue
        known.add(node)
        found.add(re.sub(r"(Backward)?\d*$", "", type(node).__name__))
        waiting += [before for before, _ in node.next_functions]
    return sorted(found - {"AccumulateGrad"})


def find_kinks(outputs: Outputs, inputs: Inputs) -> list[str]:
    """Return the operations of a model that have kinks; parameters as for :func:`find_operations`."""
    return [name for name in find_operations(outputs, inputs) if name in KINKED]
