"""Noise ceilings of the targets of an encoding study: how well a perfect model would predict what was measured.

The samples hold ``target_ncsnr`` (target), the signal-to-noise ratio of a single trial, and ``trials`` (sample), how
many trials were averaged into each sample. Where responses are no measurements, as in decoding, they hold neither.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import xarray as xr

from igc.errors import DataError, explain
from igc.stats.noise_ceiling import effective_repeats, noise_ceiling

__all__ = ["ceiling_of", "floor_of", "has_ceiling", "usable_ceiling"]

Array = npt.NDArray[np.float64]


def has_ceiling(samples: xr.Dataset) -> bool:
    """Return whether the targets are measured responses whose noise is known."""
    return "target_ncsnr" in samples and "trials" in samples.variables


def floor_of(samples: xr.Dataset) -> float:
    """Return the noise ceiling in percent up to which a target counts as noise, which nothing is divided by."""
    return float(samples["target_ncsnr"].attrs.get("ceiling_floor", 0.0))


def ceiling_of(samples: xr.Dataset, fold: int | None = None) -> Array:
    """Return the noise ceiling of each target on held-out samples.

    Parameters
    ----------
    samples : xarray.Dataset
        The samples.
    fold : int, optional
        Only the samples held out in this fold; default: in any.

    Returns
    -------
    array of float64 (target,)
        Percent of the variance, ``100 s**2 / (s**2 + 1 / n)`` with the signal-to-noise ratio ``s`` and the number of
        trials ``n`` (the harmonic mean where samples have different numbers); NaN where it is unknown.

    Raises
    ------
    DataError
        If the responses have no noise ceiling.
    """
    if not has_ceiling(samples):
        seen = "responses without a noise ceiling, as in decoding, where the targets are free of measurement noise"
        remedy = "use the scores as they are"
        raise DataError(explain(samples.attrs.get("study", "samples"), seen, "measured responses", remedy))
    folds = samples["fold"].values
    held = folds >= 0 if fold is None else folds == fold
    numbers, counts = np.unique(samples["trials"].values[held], return_counts=True)
    repeats = effective_repeats(dict(zip(numbers.tolist(), counts.tolist(), strict=True)))
    return noise_ceiling(samples["target_ncsnr"].values.astype(np.float64), repeats)


def usable_ceiling(samples: xr.Dataset) -> Array:
    """Return what :func:`ceiling_of` returns, but NaN where a target counts as noise."""
    ceiling = ceiling_of(samples)
    return np.where(ceiling > floor_of(samples), ceiling, np.nan)
