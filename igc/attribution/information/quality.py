"""How good a sampler is on samples it has not seen: how likely the truth is, and how close its fills come."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from igc.attribution.information.blocks import Blocks
from igc.attribution.information.protocol import BlockSampler, Index
from igc.seeding import generator

__all__ = ["Quality", "energy_score", "measure_quality", "show_fills"]

MEASURED_BLOCKS = 48
DRAWS = 24
SHOWN_DRAWS = 5


@dataclass(frozen=True)
class Quality:
    """Means over held-out samples and blocks.

    Attributes
    ----------
    log_likelihood, marginal : float
        Log-likelihood of the truth in nats a component, given the rest, and of each component by itself; NaN for
        samplers without a density. Of densities for a Gaussian, of probabilities of levels for a patch sampler.
    gain, gain_se : float
        Their difference, and its standard error over samples.
    energy, energy_marginal : float
        Energy score of fills, smaller is better: mean distance to the truth minus half the mean distance of two fills;
        and of the same block of random training samples.
    n : int
        Samples.
    """

    log_likelihood: float
    marginal: float
    gain: float
    gain_se: float
    energy: float
    energy_marginal: float
    n: int

    def row(self) -> dict[str, Any]:
        """Return a row of a table."""
        return asdict(self)


def energy_score(fills: Tensor, truth: Tensor) -> Tensor:
    """Return the energy score of fills (Gneiting and Raftery 2007), a proper score of a joint distribution.

    Parameters
    ----------
    fills : torch.Tensor (row, draw, member)
    truth : torch.Tensor (row, member)

    Returns
    -------
    torch.Tensor (row,)
    """
    values = fills.double()
    n = values.shape[1]
    near: Tensor = torch.linalg.vector_norm(values - truth[:, None].double(), dim=2).mean(dim=1)
    between: Tensor = torch.cdist(values, values, compute_mode="donot_use_mm_for_euclid_dist").sum(dim=(1, 2))
    return near - between / (2 * n * max(n - 1, 1))


def measure_quality(
    sampler: BlockSampler, peer: BlockSampler, blocks: Blocks, inputs: Tensor, seed: int, fold: int = 0
) -> Quality:
    """Measure a sampler on random blocks.

    Parameters
    ----------
    sampler, peer : BlockSampler
        What is measured, and what looks at nothing.
    blocks : Blocks
        Blocks to choose from.
    inputs : torch.Tensor (row, component)
        Held-out samples.
    seed, fold : int
        Of the choice and of the draws.

    Returns
    -------
    Quality
    """
    random = generator(seed, "quality", fold)
    chosen = random.choice(len(blocks), min(MEASURED_BLOCKS, len(blocks)), replace=False)
    held, peers = sampler.prepare(inputs), peer.prepare(inputs)
    likely, size = [], 0
    scores = np.zeros(2)
    for b in np.sort(chosen):
        block = blocks.members[b]
        found = sampler.log_likelihood(held, block)
        if found is not None:
            likely.append(torch.stack(found))
            size += len(block)
        for i, (one, ready) in enumerate(((sampler, held), (peer, peers))):
            fills = _draw(one, ready, len(inputs), block, random)
            scores[i] += float(energy_score(fills, inputs[:, torch.as_tensor(block)]).mean()) / len(chosen)
    mean, error = np.full(3, np.nan), np.nan
    if likely:
        each = torch.stack(likely).sum(dim=0).cpu().numpy() / size
        gains = each[0] - each[1]
        mean = np.array([*each.mean(axis=1), gains.mean()])
        error = gains.std(ddof=1) / np.sqrt(len(gains)) if len(gains) > 1 else np.nan
    return Quality(
        float(mean[0]), float(mean[1]), float(mean[2]), float(error), float(scores[0]), float(scores[1]), len(inputs)
    )


def _draw(sampler: BlockSampler, held: Any, n: int, block: Index, random: np.random.Generator) -> Tensor:
    uniform = np.maximum(random.random((n, DRAWS, sampler.width(len(block)))), 2.0**-54)
    return sampler.fill(held, torch.arange(n), block, torch.as_tensor(uniform))


def show_fills(sampler: BlockSampler, blocks: Blocks, inputs: Tensor, seed: int) -> tuple[list[Index], Tensor]:
    """Fill the most varied block of each input a few times.

    Parameters
    ----------
    sampler : BlockSampler
    blocks : Blocks
    inputs : torch.Tensor (row, component)
    seed : int

    Returns
    -------
    list of array of int
        The block of each input.
    torch.Tensor (row, draw, component)
        The filled inputs.
    """
    spread = torch.stack([inputs[:, torch.as_tensor(block)].std(dim=1) for block in blocks.members])
    chosen = [blocks.members[int(b)] for b in spread.argmax(dim=0)]
    held, random = sampler.prepare(inputs), generator(seed, "shown fills")
    filled = inputs[:, None].repeat(1, SHOWN_DRAWS, 1)
    for i, block in enumerate(chosen):
        uniform = np.maximum(random.random((1, SHOWN_DRAWS, sampler.width(len(block)))), 2.0**-54)
        values = sampler.fill(held, torch.tensor([i]), block, torch.as_tensor(uniform))
        filled[i][:, torch.as_tensor(block)] = values[0]
    return chosen, filled
