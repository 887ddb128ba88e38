"""The blocks that are marginalised out: single components, patches of an image, or regions; and maps made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from igc.errors import MethodError, ShapeError, explain

__all__ = ["Blocks", "default_patch", "patch_blocks", "region_blocks", "single_blocks"]

Index = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Blocks:
    """Sets of components, each taken out as a whole.

    Attributes
    ----------
    members : tuple of array of int (member,)
        Components of each block, increasing within an image's channel.
    n_components : int
        Of all inputs together.
    shared : bool
        How a component's value is made of those of its blocks. False: their mean, as published for patches. True: a
        block's value is divided evenly between its components, so that the sum over a region is the region's value.
    patch : int, optional
        Side of the patches, where the blocks are patches.
    """

    members: tuple[Index, ...]
    n_components: int
    shared: bool = False
    patch: int | None = None

    def __len__(self) -> int:
        return len(self.members)

    def padded(self) -> Index:
        """Return the members as a table (block, longest); shorter blocks repeat their last member."""
        longest = max(len(block) for block in self.members)
        return np.stack([np.pad(block, (0, longest - len(block)), mode="edge") for block in self.members])

    def projection(self) -> sparse.csr_array:
        """Return the matrix (component, block) that turns values of blocks into a map."""
        sizes = [len(block) for block in self.members]
        columns = np.repeat(np.arange(len(self)), sizes)
        rows = np.concatenate(self.members)
        covered = np.bincount(rows, minlength=self.n_components)
        weights = 1.0 / covered[rows]
        if self.shared:
            weights = weights / np.asarray(sizes, dtype=np.float64)[columns]
        return sparse.csr_array((weights, (rows, columns)), shape=(self.n_components, len(self)))


def default_patch(shape: tuple[int, ...]) -> int:
    """Return the side of a patch for an image: an eighth of the shorter side, 8 pixels at most."""
    return max(1, min(8, -(-min(shape[-2:]) // 8)))


def single_blocks(shapes: Sequence[tuple[int, ...]]) -> Blocks:
    """Return one block a component.

    Parameters
    ----------
    shapes : sequence of tuple of int
        Shape of each input.

    Returns
    -------
    Blocks
    """
    n = int(sum(np.prod(shape, dtype=np.int64) for shape in shapes))
    return Blocks(tuple(np.arange(n)[:, None]), n)


def patch_blocks(shapes: Sequence[tuple[int, ...]], patch: int, stride: int = 1) -> Blocks:
    """Return the square patches of images, over all channels.

    The last patch of each row and column ends at the border whatever the stride, so that no pixel is left uncovered.

    Parameters
    ----------
    shapes : sequence of tuple of int
        Shape of each input, (..., row, column).
    patch : int
        Rows and columns of a patch.
    stride : int
        Pixels between patches, at most ``patch``.

    Returns
    -------
    Blocks

    Raises
    ------
    MethodError
        If an input is no image, or patch and stride do not fit.
    """
    members: list[Index] = []
    first = 0
    for shape in shapes:
        if len(shape) < 2:
            raise MethodError(explain("patch", f"an input of shape {shape}", "an image", "leave patch out"))
        height, width = shape[-2:]
        if not 1 <= patch <= min(height, width):
            raise MethodError(explain("patch", patch, f"1 to {min(height, width)} pixels", "choose another"))
        if not 1 <= stride <= patch:
            raise MethodError(explain("stride", stride, f"1 to {patch} (the patch)", "pixels must not be left out"))
        table = np.arange(first, first + int(np.prod(shape))).reshape(-1, height, width)
        tops, lefts = _starts(height, patch, stride), _starts(width, patch, stride)
        members += [table[:, i : i + patch, j : j + patch].reshape(-1) for i in tops for j in lefts]
        first += table.size
    return Blocks(tuple(members), first, patch=patch)


def _starts(length: int, patch: int, stride: int) -> list[int]:
    last = length - patch
    starts = list(range(0, last + 1, stride))
    return starts if starts[-1] == last else [*starts, last]


def region_blocks(labels: npt.NDArray[Any]) -> Blocks:
    """Return the regions of a labelling as blocks, whose values are divided evenly between their components.

    Parameters
    ----------
    labels : array of int (component,)
        Label of each component of all inputs.

    Returns
    -------
    Blocks
        In increasing order of labels.
    """
    flat = np.asarray(labels)
    if flat.ndim != 1:
        raise ShapeError(explain("labels", flat.shape, "(component,)", "flatten the labels"))
    members = tuple(np.flatnonzero(flat == label) for label in np.unique(flat))
    return Blocks(members, len(flat), shared=True)
