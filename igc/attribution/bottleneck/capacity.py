"""What passes a Gaussian bottleneck, in nats: the closed forms of the feature and of the input bottleneck.

A signal r of mean 0 and variance 1 passes as z = l r + (1 - l) e with standard normal e, and is measured against what z
would be under a prior. In the feature bottleneck the prior is the noise itself. In the input bottleneck it is the
signal behind a mask m, with the same noise: what the mask lets through is free. The feature bottleneck is m = 0.

The public code of the paper takes the logarithm of (1 - l)^2, which is minus infinity once a sigmoid saturates; here l
is held below :data:`OPEN`.
"""

from __future__ import annotations

import math

from torch import Tensor

__all__ = ["BITS", "OPEN", "information", "slope"]

OPEN = 1 - 1e-6
"""Largest share of the signal that passes: beyond it the information has no bound."""
BITS = 1 / math.log(2)
"""Bits in a nat."""


def information(passed: Tensor, signal: Tensor, prior: Tensor | float = 0.0) -> Tensor:
    """Return the information that passes, KL(N(l r, (1-l)^2) || N(l m r, (1 - l m)^2)) in nats.

    Parameters
    ----------
    passed : torch.Tensor
        Share l of the signal that passes, in [0, 1]; more than :data:`OPEN` counts as that.
    signal : torch.Tensor
        The signal r: minus its mean, over its standard deviation.
    prior : torch.Tensor or float
        Mask m of the prior, in [0, 1).

    Returns
    -------
    torch.Tensor
        At least 0, and 0 where nothing passes.
    """
    share = passed.clamp(max=OPEN)
    rest = 1 - share * prior
    ratio = (1 - share) / rest
    shift = share * (1 - prior) * signal / rest
    return (shift**2 + ratio**2 - 1) / 2 - ratio.log()


def slope(passed: Tensor, signal: Tensor, prior: Tensor | float = 0.0) -> Tensor:
    """Return the derivative of :func:`information` with respect to what passes.

    Parameters
    ----------
    passed, signal, prior
        As for :func:`information`.

    Returns
    -------
    torch.Tensor
        At least 0: to let less pass never costs information.
    """
    share = passed.clamp(max=OPEN)
    rest = 1 - share * prior
    kept = 1 - prior
    return kept * (1 / ((1 - share) * rest) + (share * kept * signal**2 - (1 - share)) / rest**3)
