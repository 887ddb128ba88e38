"""Samplers by name: fitted to training samples, and rebuilt from what was fitted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from igc.attribution.information.gaussian import GaussianSampler
from igc.attribution.information.patches import PatchFiller
from igc.attribution.information.plain import FixedSampler, NeighbourSampler, ResamplingSampler
from igc.attribution.information.protocol import BlockSampler
from igc.errors import MethodError, explain

__all__ = ["BANK", "GAUSSIAN_LIMIT", "KINDS", "NEIGHBOURS", "PLAIN", "fit_plain", "rebuild"]

PLAIN = ("zero", "mean", "marginal", "neighbours", "gaussian")
"""Samplers fitted in closed form."""
KINDS = (*PLAIN, "patch")
GAUSSIAN_LIMIT = 4096
"""Components whose covariance is inverted at most."""
NEIGHBOURS = 16
BANK = 2000
"""Training samples kept to draw from at most."""


def fit_plain(
    kind: str, samples: Any, neighbours: int = NEIGHBOURS, own: bool = False, groups: Any = None
) -> BlockSampler:
    """Fit a sampler that needs no training loop.

    Parameters
    ----------
    kind : str
        One of :data:`PLAIN`.
    samples : array (sample, component)
        Training samples.
    neighbours : int
        For "neighbours": how many to choose from.
    own : bool
        Whether these are the very samples to be filled.
    groups : array (sample,), optional
        For "gaussian": the unit of samples that are not independent.

    Returns
    -------
    BlockSampler

    Raises
    ------
    MethodError
        If the kind is unknown, or there are too many components for it.
    """
    values = np.asarray(samples)
    if kind == "zero":
        return FixedSampler(torch.zeros(values.shape[1], dtype=torch.float64))
    if kind == "mean":
        return FixedSampler(torch.as_tensor(values.mean(axis=0, dtype=np.float64)), "mean")
    if kind == "marginal":
        return ResamplingSampler.of(torch.as_tensor(values))
    if kind == "neighbours":
        return NeighbourSampler.of(torch.as_tensor(values), neighbours, own)
    if kind == "gaussian":
        if values.shape[1] > GAUSSIAN_LIMIT:
            seen = f"'gaussian' for {values.shape[1]} components"
            remedy = "choose 'marginal', 'neighbours' or a patch sampler"
            raise MethodError(explain("sampler", seen, f"at most {GAUSSIAN_LIMIT}", remedy))
        return GaussianSampler.of(values, groups)
    raise MethodError(explain("sampler", repr(kind), ", ".join(PLAIN), "choose one, or name a fitted sampler"))


def rebuild(kind: str, tensors: Mapping[str, Tensor], arguments: Mapping[str, Any]) -> BlockSampler:
    """Make a sampler of the tensors of a file.

    Parameters
    ----------
    kind : str
        One of :data:`KINDS`.
    tensors : mapping of str to torch.Tensor
        From :meth:`BlockSampler.tensors`.
    arguments : mapping
        What else it was made with.

    Returns
    -------
    BlockSampler
    """
    if kind in ("zero", "mean"):
        return FixedSampler(tensors["values"], kind)
    if kind == "marginal":
        return ResamplingSampler.of(tensors["bank"])
    if kind == "neighbours":
        return NeighbourSampler.of(tensors["bank"], int(arguments["neighbours"]))
    if kind == "gaussian":
        return GaussianSampler(**dict(tensors))
    return PatchFiller.rebuild(tensors, arguments)
