"""How the parameters of a bottleneck become what passes at each component: one each, smoothed, or shared.

Every spread is linear and takes shares in [0, 1] to shares in [0, 1]. The map that is returned is the spread one, so
that what was optimised is what is shown; the public code of the paper smooths in training and returns the parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from igc.errors import MethodError, ShapeError, explain

__all__ = ["Graph", "Pixels", "Plain", "Shared", "Spread", "gaussian_matrix", "graph_of"]


class Spread(Protocol):
    """A linear map from parameters to components."""

    @property
    def n_parameters(self) -> int:
        """Number of parameters."""
        ...

    def spread(self, shares: Tensor) -> Tensor:
        """Return (..., parameter) as (..., component)."""
        ...

    def gather(self, gradient: Tensor) -> Tensor:
        """Return the transposed map, (..., component) to (..., parameter)."""
        ...


@dataclass(frozen=True)
class Plain:
    """Every component has its own parameter."""

    n_parameters: int

    def spread(self, shares: Tensor) -> Tensor:
        """Return the shares as they are."""
        return shares

    def gather(self, gradient: Tensor) -> Tensor:
        """Return the gradient as it is."""
        return gradient


def gaussian_matrix(size: int, sigma: float) -> npt.NDArray[np.float64]:
    """Return the smoothing of a line of pixels by a Gaussian cut at two standard deviations, (pixel, pixel).

    Each row sums to 1, at the ends of the line too.
    """
    distance = np.subtract.outer(np.arange(size), np.arange(size))
    weights = np.where(np.abs(distance) <= np.ceil(2 * sigma), np.exp(-(distance**2) / (2 * sigma**2)), 0.0)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


@dataclass(frozen=True)
class Pixels:
    """Images whose shares are smoothed over rows and columns, channel by channel.

    Attributes
    ----------
    shape : tuple of int
        (channel, row, column).
    sigma : float
        Standard deviation of the Gaussian, in pixels.
    """

    shape: tuple[int, ...]
    sigma: float

    @property
    def n_parameters(self) -> int:
        """Number of parameters."""
        return int(np.prod(self.shape))

    def _smoothed(self, values: Tensor, transposed: bool) -> Tensor:
        down, across = (
            torch.as_tensor(gaussian_matrix(n, self.sigma), dtype=values.dtype, device=values.device)
            for n in self.shape[-2:]
        )
        image = values.reshape(*values.shape[:-1], *self.shape)
        image = down.T @ image @ across if transposed else down @ image @ across.T
        return image.reshape(values.shape)

    def spread(self, shares: Tensor) -> Tensor:
        """Return the smoothed shares."""
        return self._smoothed(shares, transposed=False)

    def gather(self, gradient: Tensor) -> Tensor:
        """Return the transposed smoothing of a gradient."""
        return self._smoothed(gradient, transposed=True)


@dataclass(frozen=True)
class Shared:
    """Components of one region share a parameter; those of no region (label 0) have their own.

    Attributes
    ----------
    member : array of int (component,)
        Parameter of each component.
    """

    member: npt.NDArray[np.int64]

    @classmethod
    def of(cls, labels: Any, shape: tuple[int, ...]) -> Shared:
        """Make it of the labels of an ROI set, of the input's shape; 0 is outside."""
        given = np.asarray(labels)
        if given.shape != shape or given.dtype.kind not in "iu":
            seen, remedy = f"{given.dtype} of shape {given.shape}", "name an ROI set, or pass labels"
            raise ShapeError(explain("share", seen, f"whole numbers of shape {shape}", remedy))
        flat = given.reshape(-1).astype(np.int64)
        alone = np.where(flat == 0, -1 - np.arange(flat.size), flat)
        return cls(np.unique(alone, return_inverse=True)[1].reshape(-1).astype(np.int64))

    @property
    def n_parameters(self) -> int:
        """Number of parameters."""
        return int(self.member.max()) + 1

    def spread(self, shares: Tensor) -> Tensor:
        """Return the share of its region for each component."""
        return shares[..., torch.as_tensor(self.member, device=shares.device)]

    def gather(self, gradient: Tensor) -> Tensor:
        """Return the sum over each region."""
        total = gradient.new_zeros(*gradient.shape[:-1], self.n_parameters)
        return total.index_add_(-1, torch.as_tensor(self.member, device=gradient.device), gradient)


@dataclass(frozen=True)
class Graph:
    """Each component passes the mean of its own parameter and of those of its neighbours.

    Attributes
    ----------
    rows, columns : array of int (entry,)
        Component and parameter of each entry of the matrix.
    weights : array (entry,)
        Its weight; those of a component sum to 1.
    n_parameters : int
        Number of components.
    """

    rows: npt.NDArray[np.int64]
    columns: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float64]
    n_parameters: int

    def _product(self, values: Tensor, into: npt.NDArray[np.int64], out_of: npt.NDArray[np.int64]) -> Tensor:
        weights = torch.as_tensor(self.weights, dtype=values.dtype, device=values.device)
        to, of = (torch.as_tensor(index, device=values.device) for index in (into, out_of))
        return torch.zeros_like(values).index_add_(-1, to, values[..., of] * weights)

    def spread(self, shares: Tensor) -> Tensor:
        """Return the mean over each component and its neighbours."""
        return self._product(shares, self.rows, self.columns)

    def gather(self, gradient: Tensor) -> Tensor:
        """Return the transposed mean."""
        return self._product(gradient, self.columns, self.rows)


def graph_of(edges: Any, n_components: int) -> Graph:
    """Make the smoothing along a graph.

    Parameters
    ----------
    edges : array of int (edge, 2)
        Pairs of neighbouring components, each pair once or twice.
    n_components : int
        Number of components.

    Returns
    -------
    Graph

    Raises
    ------
    MethodError
        If these are no pairs of components.
    """
    pairs = np.asarray(edges)
    fits = pairs.ndim == 2 and pairs.shape[1] == 2 and pairs.dtype.kind in "iu"
    if not fits or (pairs.size and not (pairs.min() >= 0 and pairs.max() < n_components)):
        allowed = f"(edge, 2) numbers of components, 0 to {n_components - 1}"
        raise MethodError(
            explain("graph", f"{pairs.dtype} of shape {pairs.shape}", allowed, "pass pairs of neighbours")
        )
    own = np.repeat(np.arange(n_components)[:, None], 2, axis=1)
    entries = np.unique(np.concatenate([pairs, pairs[:, ::-1], own]).astype(np.int64), axis=0)
    degree = np.bincount(entries[:, 0], minlength=n_components)
    return Graph(entries[:, 0], entries[:, 1], 1 / degree[entries[:, 0]], n_components)


def pixels_or_plain(shape: Sequence[int], sigma: float) -> Spread:
    """Return the smoothing of an image (channel, row, column), or one parameter each where there is none."""
    if sigma > 0 and len(shape) == 3:
        return Pixels(tuple(shape), sigma)
    return Plain(int(np.prod(shape)))
