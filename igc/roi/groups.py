"""ROI tables of several subjects as one: the group's mean, the spread between subjects, and a test over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from igc.errors import DataError, explain
from igc.roi.sets import REST
from igc.stats.inference import t_interval
from igc.stats.subjects import fewest_subjects, sign_flip, smallest_probability

__all__ = ["GROUP_COLUMNS", "SUBJECT_COLUMNS", "group_table", "join_subjects", "power_note"]

Array = npt.NDArray[np.float64]

GROUP_COLUMNS = (
    *("set", "roi", "target", "subjects", "attribution", "sd", "se", "ci_low", "ci_high", "within_se"),
    *("positive_subjects", "share", "p", "p_fwe", "test"),
)
"""Columns of the table of a group."""

SUBJECT_COLUMNS = ("subject", "set", "roi", "target", "n_components", "attribution", "se")
"""Columns of the table of its subjects."""

_KEY = ["set", "roi", "target"]


def _order(tables: Sequence[pd.DataFrame], name: str, column: str) -> list[str]:
    """Return regions or targets of a set in the order of their first appearance, the rest last."""
    found = dict.fromkeys(one for table in tables for one in table.loc[table["set"] == name, column])
    return sorted(found, key=lambda one: one == REST)


def _refuse(subject: str, what: str, own: Sequence[str], first: str, others: Sequence[str], remedy: str) -> None:
    """Refuse a subject that does not have what the first one has, or has more."""
    odd = sorted(set(own) ^ set(others))
    if odd:
        seen = f"{what} {odd[0]!r} of only one of {subject} and {first}"
        raise DataError(explain(f"group, {subject}", seen, f"the same {what}s in all studies", remedy))


def _mean_over_seeds(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return one table of models of a subject that differ in their seed alone."""
    joined = pd.concat(tables, ignore_index=True)
    means = joined.groupby(_KEY, sort=False, dropna=False)[["n_components", "attribution", "se"]]
    # sampling hits all seeds alike, so errors are averaged, not divided
    return means.mean().reset_index()


def join_subjects(tables: Mapping[str, Sequence[pd.DataFrame]], missing_regions: bool = False) -> pd.DataFrame:
    """Put the ROI tables of several subjects below each other, and refuse those that do not fit together.

    Parameters
    ----------
    tables : mapping of str to sequence of DataFrame
        Of each subject, the ROI tables (:data:`igc.roi.aggregate.COLUMNS`) of one model and method, one a seed.
    missing_regions : bool
        Allow regions that some subjects lack.

    Returns
    -------
    pandas.DataFrame
        :data:`SUBJECT_COLUMNS`, means over seeds; every subject has every row, NaN where it lacks the region.

    Raises
    ------
    DataError
        If targets, sets or (unless allowed) regions differ between subjects.
    """
    means = {subject: _mean_over_seeds(own) for subject, own in tables.items()}
    first = next(iter(means))
    for subject, table in means.items():
        remedy = "give the studies of a group the same targets and ROI sets"
        for what, column in (("target", "target"), ("ROI set", "set")):
            _refuse(subject, what, table[column].tolist(), first, means[first][column].tolist(), remedy)
        if not missing_regions:
            remedy = "give all studies the same regions, or set missing_regions where a subject lacks one"
            own, other = ((one["set"] + "/" + one["roi"]).tolist() for one in (table, means[first]))
            _refuse(subject, "region", own, first, other, remedy)
    every = list(means.values())
    rows = [
        (name, roi, target)
        for name in dict.fromkeys(every[0]["set"])
        for target in _order(every, name, "target")
        for roi in _order(every, name, "roi")
    ]
    index = pd.MultiIndex.from_tuples(rows, names=_KEY)
    parts = [one.set_index(_KEY).reindex(index).reset_index().assign(subject=key) for key, one in means.items()]
    return pd.concat(parts, ignore_index=True)[list(SUBJECT_COLUMNS)]


def power_note(n_subjects: int) -> str:
    """Say in one line that there are too few subjects for a test, or nothing."""
    least = float(smallest_probability(n_subjects))
    if n_subjects >= fewest_subjects():
        return ""
    return (
        f"{n_subjects} subjects are too few for a test: the smallest p of a sign-flip test is {least:.2g} "
        f"({fewest_subjects()} subjects are needed)."
    )


def group_table(subjects: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Average regions over subjects, and test the means against 0.

    Parameters
    ----------
    subjects : pandas.DataFrame
        Of :func:`join_subjects`.
    seed : int
        Of the flips, where there are too many to make all.

    Returns
    -------
    pandas.DataFrame
        A row for each set, target and region with :data:`GROUP_COLUMNS`: number of ``subjects`` that have the region;
        mean ``attribution``, ``sd`` and ``se`` between subjects, 95 % interval with t quantiles; ``within_se``, the
        root mean square of the subjects' own standard errors over the root of their number; ``positive_subjects``, how
        many are above 0; ``share`` of the mean score, blank where the interval of the mean sum contains 0; two-sided
        ``p`` of a sign-flip test, ``p_fwe`` over all regions and targets of the set (max-T), and ``test``: "sign-flip",
        or "too few subjects" where no p could reach 0.05.
    """
    names = list(dict.fromkeys(subjects["subject"]))
    blocks = [_block(rows, names, seed) for _, rows in subjects.groupby("set", sort=False)]
    return pd.concat(blocks, ignore_index=True)[list(GROUP_COLUMNS)]


def _wide(rows: pd.DataFrame, names: Sequence[str], column: str) -> Array:
    """Return a column as (subject, row of the set)."""
    return np.stack([rows.loc[rows["subject"] == name, column].to_numpy(dtype=np.float64) for name in names])


def _spread(values: Array) -> tuple[Array, Array, Array, Array]:
    """Return number, mean, SD and standard error over subjects; the last two NaN for a single subject."""
    known = np.isfinite(values)
    count = known.sum(axis=0)
    mean = np.divide(np.where(known, values, 0).sum(axis=0), count, out=np.full(count.shape, np.nan), where=count > 0)
    square = np.where(known, (values - mean) ** 2, 0).sum(axis=0)
    variance = np.divide(square, count - 1, out=np.full(count.shape, np.nan), where=count > 1)
    sd = np.sqrt(variance)
    return count, mean, sd, sd / np.sqrt(np.maximum(count, 1))


def _interval(count: Array, mean: Array, error: Array) -> tuple[Array, Array]:
    low, high = np.full(mean.shape, np.nan), np.full(mean.shape, np.nan)
    for n in np.unique(count[count > 1]):
        chosen = count == n
        low[chosen], high[chosen] = t_interval(mean[chosen], error[chosen], float(n - 1))
    return low, high


def _shares(rows: pd.DataFrame, values: Array, mean: Array) -> Array:
    """Return means over the mean sum of their target; NaN where the interval of that sum contains 0."""
    targets = rows["target"].to_numpy()[: values.shape[1]]
    shares = np.full(mean.shape, np.nan)
    for target in dict.fromkeys(targets):
        own = targets == target
        total = np.nansum(values[:, own], axis=1)[:, None]
        count, centre, _, error = _spread(total)
        low, high = _interval(count, centre, error)
        if low[0] > 0 or high[0] < 0:
            shares[own] = mean[own] / centre[0]
    return shares


def _block(rows: pd.DataFrame, names: Sequence[str], seed: int) -> pd.DataFrame:
    """Return the rows of one set."""
    values, errors = _wide(rows, names, "attribution"), _wide(rows, names, "se")
    count, mean, sd, error = _spread(values)
    low, high = _interval(count, mean, error)
    test = sign_flip(values, seed)
    _, variance, _, _ = _spread(np.where(np.isfinite(values), errors**2, np.nan))
    made = np.where(
        smallest_probability(count) <= smallest_probability(fewest_subjects()), "sign-flip", "too few subjects"
    )
    table = rows.loc[rows["subject"] == names[0], _KEY].reset_index(drop=True)
    return table.assign(
        subjects=count,
        attribution=mean,
        sd=sd,
        se=error,
        ci_low=low,
        ci_high=high,
        within_se=np.sqrt(variance / np.maximum(count, 1)),
        positive_subjects=(np.nan_to_num(values) > 0).sum(axis=0),
        share=_shares(rows, values, mean),
        p=test.p,
        p_fwe=test.p_family,
        test=made,
    )
