"""Noise ceilings from repeated presentations, as the Natural Scenes Dataset's own exporter computes them.

Responses are z-scored within each session. The noise variance is the mean, over the images shown exactly three times,
of the unbiased variance across their trials; what is left of the total variance (1) is signal.

Source: Allen et al. (2022), Nature Neuroscience 25:116, and the exporter that wrote the dataset's ``ncsnr`` files.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from igc.errors import DataError, explain

__all__ = [
    "effective_repeats",
    "noise_ceiling",
    "normalized_correlation",
    "normalized_r2",
    "repeated_trials",
    "signal_to_noise",
    "zscored",
]

DoubleArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
REPEATS = 3


def zscored(values: npt.ArrayLike, sessions: IntArray, reference: npt.NDArray[np.bool_] | None = None) -> DoubleArray:
    """Subtract the mean and divide by the standard deviation of each session.

    Parameters
    ----------
    values : array (trial, voxel)
        Responses.
    sessions : array of int (trial,)
        Session of each trial.
    reference : array of bool (trial,), optional
        Trials whose mean and standard deviation are used, for example those of training images only; default: all.

    Returns
    -------
    array of float64 (trial, voxel)
        NaN where a voxel is constant within a session.
    """
    result = np.array(values, dtype=np.float64)
    chosen = np.ones(len(result), dtype=bool) if reference is None else reference
    for session in np.unique(sessions):
        rows = sessions == session
        base = result[rows & chosen]
        if len(base) < 2:
            seen = f"{len(base)} trials of session {session} to standardise with"
            raise DataError(explain("sessions", seen, "two or more", "leave the session out, or use all its trials"))
        mean, deviation = base.mean(axis=0), base.std(axis=0, ddof=1)
        # a voxel that never changes has no scale; 0 / 0 would say so with a warning
        deviation = np.where(deviation > 0, deviation, np.nan)
        result[rows] = (result[rows] - mean) / deviation
    return result


def repeated_trials(images: IntArray, repeats: int = REPEATS) -> IntArray:
    """Find the trials of images shown exactly so often.

    Parameters
    ----------
    images : array of int (trial,)
        Image of each trial, in the numbering whose order tells odd from even images (for the dataset's own files: the
        position in the subject's list).
    repeats : int
        How often.

    Returns
    -------
    array of int (image, repeat)
        Trial numbers; images in ascending order, trials in the order of time.
    """
    order = np.argsort(images, kind="stable")
    _, first, counts = np.unique(images[order], return_index=True, return_counts=True)
    starts = first[counts == repeats]
    return np.asarray(order[starts[:, np.newaxis] + np.arange(repeats)], dtype=np.int64)


def signal_to_noise(
    zscores: npt.ArrayLike, images: IntArray, half: int | None = None, repeats: int = REPEATS
) -> DoubleArray:
    """Estimate the standard deviation of the signal over that of the noise (``ncsnr``).

    Parameters
    ----------
    zscores : array (trial, voxel)
        Responses z-scored within sessions, from :func:`zscored`; NaN where missing.
    images : array of int (trial,)
        Image of each trial.
    half : {1, 2}, optional
        Use every second image only, from the first or the second on; default: all.
    repeats : int
        Images shown exactly so often are used.

    Returns
    -------
    array of float64 (voxel,)
        NaN where a voxel is missing throughout. An image with a missing trial is skipped for that voxel.

    Raises
    ------
    DataError
        If no image was shown so often.
    """
    values = np.asarray(zscores)
    trials = repeated_trials(images, repeats)[slice(None) if half is None else slice(half - 1, None, 2)]
    if len(trials) == 0:
        seen = f"no image shown exactly {repeats} times"
        raise DataError(explain("trials", seen, "at least one", "read more sessions"))
    total, count = np.zeros(values.shape[1]), np.zeros(values.shape[1], dtype=np.int64)
    # a few hundred images at a time: the repeats of all at once would be a second copy of the data
    for start in range(0, len(trials), 256):
        variance = values[trials[start : start + 256]].var(axis=1, ddof=1, dtype=np.float64)
        known = np.isfinite(variance)
        total += np.where(known, variance, 0.0).sum(axis=0)
        count += known.sum(axis=0)
    noise = np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
    noise = np.where(noise > 0, noise, np.nan)
    return np.asarray(np.sqrt(np.maximum(0.0, 1.0 - noise) / noise))


def effective_repeats(counts: Mapping[int, int]) -> float:
    """Return the number of repeats that stands for images shown unequally often.

    Parameters
    ----------
    counts : mapping of int to int
        Number of images by how many trials were averaged.

    Returns
    -------
    float
        The harmonic mean: 3 images of 3 trials each give 3.
    """
    images = sum(counts.values())
    if images == 0 or min(counts) < 1:
        raise DataError(explain("counts", dict(counts), "images averaged over 1 or more trials", "count the trials"))
    return images / sum(count / repeats for repeats, count in counts.items())


def noise_ceiling(ncsnr: npt.ArrayLike, repeats: float = REPEATS) -> DoubleArray:
    """Return the largest share of variance that any model could explain.

    Parameters
    ----------
    ncsnr : array
        From :func:`signal_to_noise`.
    repeats : float
        Trials averaged into a response, or :func:`effective_repeats`.

    Returns
    -------
    array of float64
        Percent: 100 s**2 / (s**2 + 1 / repeats).
    """
    power = np.square(np.asarray(ncsnr, dtype=np.float64))
    return np.asarray(100.0 * power / (power + 1.0 / repeats))


def _divided(values: npt.ArrayLike, ceiling: DoubleArray, floor: float) -> DoubleArray:
    numbers, ceilings = np.broadcast_arrays(np.asarray(values, dtype=np.float64), ceiling)
    # NaN compares as False: what has no ceiling has no normalised score
    result = np.full(numbers.shape, np.nan)
    np.divide(numbers, ceilings, out=result, where=ceilings > floor)
    return result


def normalized_correlation(correlation: npt.ArrayLike, ceiling: npt.ArrayLike, floor: float = 0.0) -> DoubleArray:
    """Divide correlations by the largest ones possible.

    Parameters
    ----------
    correlation : array
        Of predictions and measured responses.
    ceiling : array
        Noise ceiling in percent.
    floor : float
        Ceilings in percent up to here count as none.

    Returns
    -------
    array of float64
        Correlation / sqrt(ceiling / 100); NaN where there is no ceiling.
    """
    percent = np.asarray(ceiling, dtype=np.float64)
    return _divided(correlation, np.sqrt(percent / 100.0), float(np.sqrt(floor / 100.0)))


def normalized_r2(correlation: npt.ArrayLike, ceiling: npt.ArrayLike, floor: float = 0.0) -> DoubleArray:
    """Return the explained share of the variance that can be explained.

    Parameters
    ----------
    correlation, ceiling, floor
        As for :func:`normalized_correlation`.

    Returns
    -------
    array of float64
        Squared correlation with the sign kept, over ceiling / 100; NaN where there is no ceiling.
    """
    r = np.asarray(correlation, dtype=np.float64)
    return _divided(r * np.abs(r), np.asarray(ceiling, dtype=np.float64) / 100.0, floor / 100.0)
