"""Mish and its slope on a processor: from one exponential each, in pieces that stay in the cache.

With e = exp(x), mish(x) = x tanh(log(1 + e)) = x n / (n + 2) where n = e (e + 2), and its slope is
n / (n + 2) + 4 x e (e + 1) / (n + 2)^2.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["mish", "mish_with_slope"]

PIECE = 1 << 15
"""Numbers at a time: some arrays of so many fit into the cache of a core."""
LARGEST = 20.0
"""From here on the function is x and its slope 1, to the last bit in double precision."""


def mish(inputs: Tensor) -> Tensor:
    """Return x tanh(softplus(x)), without a graph."""
    flat = inputs.reshape(-1)
    values = torch.empty_like(flat)
    for x, out in zip(torch.split(flat, PIECE), torch.split(values, PIECE), strict=True):
        numerator, share = _parts(x)[1:]
        torch.mul(numerator, share, out=out).mul_(x)
    return values.reshape(inputs.shape)


def mish_with_slope(inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Return x tanh(softplus(x)) and its derivative, without a graph."""
    flat = inputs.reshape(-1)
    values, slopes = torch.empty_like(flat), torch.empty_like(flat)
    pieces = zip(*(torch.split(one, PIECE) for one in (flat, values, slopes)), strict=True)
    for x, out, slope in pieces:
        e, numerator, share = _parts(x)
        torch.mul(numerator, share, out=out).mul_(x)
        torch.mul(e + 1, e, out=slope).mul_(x).mul_(4).mul_(share).add_(numerator).mul_(share)
    return values.reshape(inputs.shape), slopes.reshape(inputs.shape)


def _parts(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return e, n and 1 / (n + 2)."""
    e = x.clamp(max=LARGEST).exp_()
    numerator = (e + 2).mul_(e)
    return e, numerator, (numerator + 2).reciprocal_()
