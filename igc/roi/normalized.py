"""Attribution maps of measured responses in units of what could be predicted at all."""

from __future__ import annotations

import numpy as np
import xarray as xr

from igc.errors import DataError, explain
from igc.store.ceilings import usable_ceiling

__all__ = ["normalized_result"]

_LINEAR = (
    *("attribution", "standard_error", "estimator_error", "score", "score_standard_error"),
    *("roi_attribution", "roi_standard_error", "roi_estimator_error"),
)
"""Variables in units of correlation, which a division of the score divides too."""


def normalized_result(result: xr.Dataset, samples: xr.Dataset) -> xr.Dataset:
    """Divide maps, ROI sums, scores and their errors by the root of each target's noise ceiling.

    A map sums to the correlation of prediction and response, so the divided map sums to the normalised correlation,
    and an error of 0.01 beside a ceiling of 25 % becomes 0.02. The ceiling is taken as known.

    Parameters
    ----------
    result : xarray.Dataset
        An attribution result of a method whose maps sum to the score.
    samples : xarray.Dataset
        The samples it was made of.

    Returns
    -------
    xarray.Dataset
        The divided variables, with ``noise_ceiling`` (target) in percent; NaN for targets that count as noise.

    Raises
    ------
    DataError
        If the responses have no noise ceiling (decoding), the maps do not sum to the score, or the targets differ.
    """
    ceiling = usable_ceiling(samples)
    if not result.attrs.get("complete"):
        seen, allowed = f"maps of {result.attrs.get('method', 'a method')}", "maps that sum to the score"
        raise DataError(explain("normalised maps", seen, allowed, "normalise those of igc"))
    if not np.array_equal(result["target"].values.astype(str), samples["target"].values.astype(str)):
        seen, allowed = "targets other than those of the samples", "a result of these samples"
        raise DataError(explain("normalised maps", seen, allowed, "give the samples of the study"))
    root = xr.DataArray(np.sqrt(ceiling / 100.0), dims="target")
    kept = {name: result[name] / root for name in _LINEAR if name in result}
    return xr.Dataset({**kept, "noise_ceiling": ("target", ceiling)}, attrs=dict(result.attrs))
