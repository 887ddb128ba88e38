"""What draws the fills of a block given the rest of an input."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

__all__ = ["BlockSampler", "Index"]

Index = npt.NDArray[np.int64]


class BlockSampler(Protocol):
    """Draws what may stand in a block, given the rest of an input.

    A fill follows from the uniform numbers handed in, so that who calls decides what draws depend on. Tensors of
    inputs are flat, (row, component), all inputs joined.
    """

    @property
    def kind(self) -> str:
        """Name of the kind."""
        ...

    @property
    def fixed(self) -> bool:
        """Whether there is but one fill, so that one draw says all."""
        ...

    @property
    def constant(self) -> Tensor:
        """The value of each component that never varied in training, NaN for the others, (component,).

        A component that never varied is always filled with its constant.
        """
        ...

    @property
    def patch(self) -> int | None:
        """Side of the only patches that can be filled; None where any block can."""
        ...

    def width(self, size: int) -> int:
        """Return how many uniform numbers a fill of so many components takes."""
        ...

    def prepare(self, inputs: Tensor) -> Any:
        """Compute once for a batch of inputs (row, component) what all their fills need."""
        ...

    def fill(self, held: Any, rows: Tensor, block: Index, uniform: Tensor) -> Tensor:
        """Draw fills of one block for some rows of a prepared batch.

        Parameters
        ----------
        held : object
            From :meth:`prepare`.
        rows : torch.Tensor of int (row,)
            Which inputs of the batch.
        block : array of int (member,), or (row, member) where :attr:`patch` is set
            Components to fill; patches, which are all of one size, may be others in each row.
        uniform : torch.Tensor (row, draw, width)
            Numbers in (0, 1), float64.

        Returns
        -------
        torch.Tensor (row, draw, member)
        """
        ...

    def log_likelihood(self, held: Any, block: Index) -> tuple[Tensor, Tensor] | None:
        """Return how likely the inputs' own block is, in nats: given the rest, and component by component alone.

        None for samplers without a density; else (row,) each.
        """
        ...

    def to(self, device: torch.device) -> BlockSampler:
        """Return the sampler on a device."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """Return all that was fitted, by name, for a file."""
        ...

    def arguments(self) -> dict[str, Any]:
        """Return what it is rebuilt with beside its tensors, JSON values."""
        ...
