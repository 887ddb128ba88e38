"""Running sums over a unit's pairs on the device, and the ways to add a micro-batch to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from igc.attribution.cells import Cells
from igc.attribution.gradients import Inputs, vector_jacobian

__all__ = ["Keep", "PairBatch", "PairSums", "add_dense", "add_heads", "add_sparse", "latent_maps"]

Keep = Literal["all", "regions", "none"]
"""Of which cells the sums of every group are kept."""

LATENT_BYTES = 64 << 20
"""Maps of latents, and of a block of targets, are held for so many pairs at a time that they fit into this."""
COVARIANCE_STEP = 16


@dataclass(frozen=True)
class PairBatch:
    """A micro-batch of pairs on the device.

    Attributes
    ----------
    points : tuple of torch.Tensor
        Where gradients are taken.
    outputs : torch.Tensor (pair, output)
        Of the model, or its latents, at the points; of no output in forward mode.
    difference : torch.Tensor (pair, component)
        x_n - x_m.
    groups : tuple of torch.Tensor (pair,)
        Group of left and of right; the number of groups where right's is the same, and not counted again.
    """

    points: Inputs
    outputs: Tensor
    difference: Tensor
    groups: tuple[Tensor, Tensor]


@dataclass
class PairSums:
    """Running sums of a unit: float64 across micro-batches, the model's precision within one.

    Few pairs of a unit touch the same group, so these sums keep the model's precision until the unit ends.
    """

    cells: Cells
    summing: Callable[[Tensor], Tensor] | None
    keep: Keep
    one: Tensor  # (target,) of s
    square: Tensor  # (target,) of s^2
    map: Tensor  # (target, cell) of v
    cross: Tensor  # (target, cell) of s v
    touching: Tensor  # (group * target, cell), and the pairs that are not counted again in the last rows

    @classmethod
    def zeros(cls, cells: Cells, keep: Keep, n_targets: int, n_groups: int, like: Tensor) -> PairSums:
        """Return the sums of no pair; without pooling, sums over regions are added when the unit ends."""

        def zeros(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.float64, device=like.device)

        width = cells.total if cells.pooled else cells.n_components
        touching = {"all": width, "regions": cells.n_regions, "none": 0}[keep]
        k = n_targets
        needed = cells.pooled or keep == "regions"
        return cls(
            cells,
            cells.summing(like) if needed else None,
            keep,
            *(zeros(k), zeros(k), zeros(k, width), zeros(k, width)),
            like.new_zeros((n_groups + 1 if touching and n_groups else 0) * k, touching),
        )

    def by_group(self) -> Tensor:
        """Return the sums over the pairs that touch each group in float64, (group * target, cell)."""
        return self.touching[: max(0, len(self.touching) - len(self.one))].double()

    def pooled(self, values: Tensor) -> Tensor:
        """Sum maps of components (pair, component) into cells, with pooling."""
        return self.summing(values) if self.cells.pooled and self.summing is not None else values

    def add_pairs(self, rows: slice | int, total: Tensor, values: Tensor) -> None:
        """Add the maps of pairs (pair, cell), all for one target, with their sums over components (pair,)."""
        self.one[rows] += total.double().sum()
        self.square[rows] += total.double().square().sum()
        both = torch.stack([torch.ones_like(total), total]) @ values
        self.map[rows] += both[0].double()
        self.cross[rows] += both[1].double()

    def scatter(self, values: Tensor, targets: Tensor | int, groups: tuple[Tensor, Tensor]) -> None:
        """Add each pair's map to the groups of its members."""
        if not len(self.touching):
            return
        if self.keep == "regions":
            n_map = self.cells.n_map
            values = values[:, n_map:] if self.cells.pooled or self.summing is None else self.summing(values)
        n_targets = len(self.one)
        for group in groups:
            self.touching.index_add_(0, group * n_targets + targets, values)


def _contribution(
    sums: PairSums, batch: PairBatch, column: Tensor, half: Tensor, pilot: Tensor, *, keep: bool
) -> tuple[Tensor, Tensor]:
    """Return v of every pair for one output a pair, (pair, cell), and its sum (pair,): one vector-Jacobian product."""
    gradient = vector_jacobian(column, half, batch.points, keep=keep)
    values = gradient.addcmul_(half[:, None], pilot.expand_as(gradient), value=-1).mul_(batch.difference)
    return sums.pooled(values), values.sum(dim=1)


def add_dense(sums: PairSums, batch: PairBatch, half: Tensor, pilot: Tensor) -> None:
    """One product a target, for responses without structure.

    Parameters
    ----------
    sums : PairSums
        To add to.
    batch : PairBatch
        The pairs.
    half : torch.Tensor (pair, target)
        Half the difference of the responses.
    pilot : torch.Tensor (target, component)
        Gradient of the control variate.
    """
    for k in range(half.shape[1]):
        column, last = batch.outputs[:, k], k == half.shape[1] - 1
        values, total = _contribution(sums, batch, column, half[:, k], pilot[k], keep=not last)
        sums.add_pairs(k, total, values)
        sums.scatter(values, k, batch.groups)


def add_sparse(sums: PairSums, batch: PairBatch, half: Tensor, pilot: Tensor) -> None:
    """Two products a point, where a response is one-hot: only the classes of the two samples differ.

    Parameters
    ----------
    sums, batch, half, pilot
        As for :func:`add_dense`.
    """
    for step, classes in enumerate((half.argmax(dim=1), half.argmin(dim=1))):
        amount = half.gather(1, classes[:, None])[:, 0]
        column = batch.outputs.gather(1, classes[:, None])[:, 0]
        values, total = _contribution(sums, batch, column, amount, pilot.index_select(0, classes), keep=step == 0)
        members = torch.nn.functional.one_hot(classes, half.shape[1]).to(values.dtype).T
        sums.one += members.double() @ total.double()
        sums.square += members.double() @ total.double().square()
        both = (torch.cat([members, members * total]) @ values).double()
        sums.map += both[: len(members)]
        sums.cross += both[len(members) :]
        sums.scatter(values, classes, batch.groups)


def latent_maps(sums: PairSums, batch: PairBatch, pilot: Tensor) -> Tensor:
    """Return gradient minus pilot times difference for every latent, (pair, latent, cell): one product a latent."""
    n, n_latents = batch.outputs.shape
    ones = torch.ones(n, dtype=pilot.dtype, device=pilot.device)
    width = sums.map.shape[1]
    maps = torch.empty((n, n_latents, width), dtype=pilot.dtype, device=pilot.device)
    for z in range(n_latents):
        maps[:, z] = _contribution(sums, batch, batch.outputs[:, z], ones, pilot[z], keep=z < n_latents - 1)[0]
    return maps


def add_heads(sums: PairSums, batch: PairBatch, half: Tensor, maps: Tensor, weight: Tensor | None) -> None:
    """Add maps that are known for every output or latent.

    Parameters
    ----------
    sums, batch, half
        As for :func:`add_dense`.
    maps : torch.Tensor (pair, head, cell)
        Gradient minus pilot times difference of every head.
    weight : torch.Tensor (target, head), optional
        How targets read the heads; None: heads are the targets.
    """
    n, n_heads, n_cells = maps.shape
    summed = weight is not None and not len(sums.touching) and n_cells > n_heads
    totals = maps[:, :, sums.cells.partitions[0]].sum(dim=2) if summed else maps
    step = max(1, LATENT_BYTES // (n * max(n_heads, n_cells) * maps.element_size()))
    for first in range(0, half.shape[1], step):
        chosen = slice(first, first + step)
        if weight is None:
            _add_resolved(sums, batch, chosen, maps[:, chosen].mul(half[:, chosen, None]).transpose(0, 1))
        elif summed:
            _read_out(sums, chosen, half[:, chosen].T.contiguous(), weight[chosen], maps, totals)
        else:
            read = weight[chosen] @ maps.transpose(0, 1).reshape(n_heads, n * n_cells)
            values = read.reshape(-1, n, n_cells).mul_(half[:, chosen].T[:, :, None])
            _add_resolved(sums, batch, chosen, values)


def _read_out(sums: PairSums, chosen: slice, half: Tensor, weight: Tensor, maps: Tensor, totals: Tensor) -> None:
    """Sum over pairs and latents in one matrix product; the covariance with the sum is taken of some pairs only.

    That covariance only says where the gap to the score is taken up, and any shares that add to 1 close the map.
    """
    n = len(maps)
    total = half * (weight @ totals.T)
    product = _mixed(half, weight, maps).double()
    some = slice(None, None, COVARIANCE_STEP)
    m = len(maps[some])
    weighted = _mixed(half[:, some] * total[:, some], weight, maps[some]).double()
    one, part = total.double().sum(dim=1), total[:, some].double().sum(dim=1)
    sums.one[chosen] += one
    sums.square[chosen] += total.double().square().sum(dim=1)
    sums.map[chosen] += product
    sums.cross[chosen] += weighted * (n / m) + (one - part * (n / m))[:, None] * product / n


def _mixed(amount: Tensor, weight: Tensor, maps: Tensor) -> Tensor:
    """Return the sum over pairs and latents of amount (target, pair) times weight times map, (target, cell)."""
    n, n_latents, n_cells = maps.shape
    mixing = (amount[:, :, None] * weight[:, None, :]).reshape(len(weight), n * n_latents)
    return mixing @ maps.reshape(n * n_latents, n_cells)


def _add_resolved(sums: PairSums, batch: PairBatch, chosen: slice, values: Tensor) -> None:
    """Add maps (target, pair, cell) of some targets."""
    total = values[:, :, sums.cells.partitions[0]].sum(dim=2)
    sums.one[chosen] += total.double().sum(dim=1)
    sums.square[chosen] += total.double().square().sum(dim=1)
    sums.map[chosen] += values.sum(dim=1).double()
    sums.cross[chosen] += torch.bmm(total[:, None, :], values)[:, 0].double()
    if len(sums.touching):
        for k, part in enumerate(values):
            sums.scatter(part, chosen.start + k, batch.groups)
