"""The tables of all folds as variables of a result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from igc.attribution.estimate import combine_folds
from igc.attribution.tables import Table

__all__ = ["table_variables"]


def table_variables(
    folds: Sequence[Mapping[str, Table]], sizes: Sequence[int], defined: npt.NDArray[np.bool_]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Average tables over folds by number of samples.

    Parameters
    ----------
    folds : sequence of mapping of str to Table
        The tables of each fold; all have the same names and axes.
    sizes : sequence of int
        Samples of each fold.
    defined : array of bool (fold, target)
        Whether a target counts in a fold.

    Returns
    -------
    variables, coordinates : dict
        For each table its values and, with the suffixes ``_standard_error`` and ``_estimator_error``, their errors:
        (target, *axes).
    """
    variables: dict[str, Any] = {}
    coordinates: dict[str, Any] = {}
    for name, table in folds[0].items() if folds else ():
        parts = combine_folds([fold[name].estimate for fold in folds], sizes, defined)
        dims = ("target", *table.axes)
        for suffix, values in zip(("", "_standard_error", "_estimator_error"), parts, strict=True):
            variables[name + suffix] = (dims, values.reshape(-1, *table.shape))
        coordinates |= dict(table.axes)
    return variables, coordinates
