"""What every kind of dataset offers to the one function that writes samples: metadata, and a reader of any samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from igc.errors import DataError, explain

__all__ = ["Categories", "FloatArray", "IntArray", "Source", "Variable", "codes_of", "one_hot"]

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Variable:
    """A small array that goes into the store beside the samples."""

    dims: tuple[str, ...]
    values: npt.NDArray[Any]
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """A dataset that is open for reading.

    Attributes
    ----------
    shape : tuple of int
        Shape of one input: (voxel,) or (channel, row, column).
    kind : {"image", "volume", "vector"}
        What the components are.
    target_type : {"categories", "values"}
        One-hot responses, or numbers.
    target_names : list of str
        One a target.
    groups : array of int (sample,)
        Code of the unit that no split divides, from 0.
    group_names : list of str
        By code; empty where each sample is a group of its own.
    sample_ids : array of int (sample,)
        Position in the dataset.
    read : callable
        Positions (sample,) among the samples -> inputs (sample, component...) and responses (sample, target), float32.
    origin : mapping
        JSON values: what was read, its licence and citation.
    test : array of bool (sample,), optional
        The dataset's own test set.
    blocks : array of int (sample,), optional
        Code of the unit within a group that may change places with its like under the null (a stretch of volumes of
        one category), where the dataset knows.
    trials : array of int (sample,), optional
        How many trials were averaged into the responses of each sample, where these are noisy measurements.
    in_time_order : bool
        Samples are neighbours in time, and stay in order within a fold.
    variables : mapping of str to Variable
        Atlases, planted masks, positions of the voxels.
    attributes : mapping
        Further JSON values for the store.
    """

    shape: tuple[int, ...]
    kind: Literal["image", "volume", "vector"]
    target_type: Literal["categories", "values"]
    target_names: list[str]
    groups: IntArray
    group_names: list[str]
    sample_ids: IntArray
    read: Callable[[IntArray], tuple[FloatArray, FloatArray]]
    origin: Mapping[str, Any]
    test: npt.NDArray[np.bool_] | None = None
    blocks: IntArray | None = None
    trials: IntArray | None = None
    in_time_order: bool = False
    variables: Mapping[str, Variable] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Categories:
    """Categories of all samples: ``codes`` (sample,) into the sorted ``names``."""

    codes: IntArray
    names: list[str]

    @classmethod
    def of(cls, where: str | Path, labels: Sequence[str] | npt.NDArray[Any]) -> Categories:
        """Sort the distinct labels; refuse fewer than two, which no model could tell apart."""
        values, codes = np.unique(np.asarray(labels), return_inverse=True)
        if len(values) < 2:
            seen = f"{len(values)} categories ({', '.join(map(str, values)) or 'none'})"
            raise DataError(explain(where, seen, "two or more", "check the labels and what is ignored"))
        return cls(codes.astype(np.int64), [str(value) for value in values])


def one_hot(codes: IntArray, n_categories: int) -> FloatArray:
    """Return one-hot rows.

    Parameters
    ----------
    codes : array of int (sample,)
        Category of each sample.
    n_categories : int
        Number of categories.

    Returns
    -------
    array of float32 (sample, category)
    """
    return np.eye(n_categories, dtype=np.float32)[codes]


def codes_of(labels: Sequence[Any] | npt.NDArray[Any]) -> tuple[IntArray, list[str]]:
    """Give labels codes in the order of their first appearance.

    Parameters
    ----------
    labels : sequence (sample,)
        Names or numbers.

    Returns
    -------
    codes : array of int (sample,)
    names : list of str
        By code.
    """
    codes, names = pd.factorize(np.asarray(labels))
    return codes.astype(np.int64), [str(name) for name in names]
