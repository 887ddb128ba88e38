"""The permutation null of an attribution: when it is made, of which units, and how it is run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from igc.attribution.permuted import NullRequest, Permutable, RegionTest
from igc.attribution.protocols import DatasetAttribution
from igc.errors import DataError, MethodError, ShapeError, explain
from igc.roi.sets import RoiSet, indicator
from igc.stats.exchange import Exchange, exchange_units
from igc.stats.inference import refuse_groups

__all__ = ["ANALYTIC", "AUTOMATIC_TARGETS", "BLOCK", "NullSettings", "plan_null", "region_test"]

ANALYTIC = "analytic"
"""In place of a number of permutations: the closed form for all of them, of single independent samples."""

BLOCK = "block"
"""The variable of samples that names units within groups, exchanged unless something else is asked for."""

AUTOMATIC_TARGETS = 64
"""With more targets responses are permuted on demand only; by default the closed form is taken where there is one."""

_PERMUTATIONS = 199
_PAIRS, _MOST_POINTS = 8192, 16.0


@dataclass(frozen=True)
class NullSettings:
    """What a caller asks for.

    Attributes
    ----------
    permutations : int or str, optional
        How many; 0: no null; :data:`ANALYTIC`: the closed form. None: 199 where there are ROI sets, a method that has
        one, and units to exchange.
    points : float, optional
        Gradient points a sample; their noise is estimated and taken out of the null's spread. None: one, and more with
        few samples, where they cost nothing.
    exchange : array (sample,) or str, optional
        Unit of each sample, or the variable of the samples that says so. None: their blocks, or their groups.
    """

    permutations: int | str | None = None
    points: float | None = None
    exchange: Any = None

    def __post_init__(self) -> None:
        count = self.permutations
        counted = isinstance(count, int) and not isinstance(count, bool) and (count == 0 or count >= 19)
        if count is not None and count != ANALYTIC and not counted:
            raise MethodError(explain("permutations", repr(count), f"0, at least 19, or {ANALYTIC!r}", "correct it"))
        if self.points is not None and not self.points > 0:
            raise MethodError(explain("null_points", self.points, "a positive number", "correct it"))

    @classmethod
    def split(cls, options: Mapping[str, Any]) -> tuple[NullSettings, dict[str, Any]]:
        """Take ``permutations``, ``null_points`` and ``exchange`` out of a method's options."""
        rest = dict(options)
        permutations, exchange = rest.pop("permutations", None), rest.pop("exchange", None)
        if exchange is not None and permutations is None:
            permutations = _PERMUTATIONS
        return cls(permutations, rest.pop("null_points", None), exchange), rest

    def by_default(self, labels: npt.NDArray[Any] | None) -> NullSettings:
        """Return the settings with units (sample,) to exchange where nothing else is asked for."""
        return self if self.exchange is not None or labels is None else replace(self, exchange=labels)

    def in_order(self, order: npt.NDArray[np.int64]) -> NullSettings:
        """Return the settings with one label a sample in the order of a source.

        Raises
        ------
        ShapeError
            If there is not one label a sample.
        """
        if self.exchange is None:
            return self
        given = np.asarray(self.exchange)
        if given.shape != order.shape:
            raise ShapeError(explain("exchange", given.shape, order.shape, "give one label a sample"))
        return replace(self, exchange=given[order])

    def of_store(self, samples: xr.Dataset, rows: npt.NDArray[np.int64]) -> NullSettings:
        """Return the settings with the labels of some samples of a store; default: its blocks, where it has some.

        Raises
        ------
        DataError
            If the store has no such variable of one value a sample.
        """
        if self.exchange is None and BLOCK not in samples.variables:
            return self
        name = str(self.exchange or BLOCK)
        known = sorted(str(key) for key, value in samples.variables.items() if value.dims == ("sample",))
        if name not in known:
            raise DataError(explain("exchange", repr(name), ", ".join(known), "name a variable of the samples"))
        return replace(self, exchange=np.asarray(samples[name].values)[rows])


def plan_null(
    settings: NullSettings,
    rois: Mapping[str, RoiSet],
    n_targets: int,
    n_samples: int,
    groups: npt.ArrayLike | None,
    position: npt.ArrayLike | None = None,
) -> NullRequest | None:
    """Decide on the null of one fold.

    Parameters
    ----------
    settings : NullSettings
        What is asked for.
    rois, n_targets, n_samples
        Of the attribution it belongs to.
    groups : array (sample,), optional
        Group of each sample; None: each for itself.
    position : array of int (sample,), optional
        Order of measurement.

    Returns
    -------
    NullRequest or None
        None where none is asked for, or none can be made and none was asked for.

    Raises
    ------
    MethodError, DataError
        If a null is asked for that cannot be made.
    """
    asked = settings.permutations is not None
    if settings.permutations == 0 or not (asked or rois):
        return None
    if not rois:
        seen, remedy = "no ROI sets", "give ROI sets, or set permutations=0"
        raise MethodError(explain("permutations", seen, "ROI sets, whose sums are tested", remedy))
    regions = indicator(rois)[0]
    single = groups is None or len(np.unique(np.asarray(groups))) == n_samples
    if settings.permutations == ANALYTIC or not (asked or n_targets <= AUTOMATIC_TARGETS):
        if not single and not asked:
            return None
        refuse_groups(np.arange(n_samples) if groups is None else groups)
        return NullRequest(Exchange((), n_samples), regions, 0, single=True, asked=asked)
    try:
        exchange = exchange_units(n_samples, groups, settings.exchange, position)
    except DataError:
        if asked:
            raise
        return None
    points = settings.points or min(max(1.0, _PAIRS / n_samples), _MOST_POINTS)
    permutations = _PERMUTATIONS if settings.permutations is None else int(settings.permutations)
    return NullRequest(exchange, regions, permutations, points, single and exchange.free, asked)


def region_test(request: NullRequest, attribution: DatasetAttribution, name: str) -> RegionTest | None:
    """Return how a method makes the null of its region sums.

    Parameters
    ----------
    request : NullRequest
        What is wanted.
    attribution : DatasetAttribution
        The attribution it belongs to.
    name : str
        Name of its method.

    Returns
    -------
    RegionTest or None
        None where the method has none and nobody asked for it.

    Raises
    ------
    MethodError
        If a null is asked for that the method does not have.
    """
    shape = attribution.problem.n_components if hasattr(attribution, "problem") else request.indicator.shape[1]
    if request.indicator.shape[1] != shape:
        return None  # refused with the sums themselves, by name
    test = attribution.null(request) if isinstance(attribution, Permutable) else None
    if test is None and request.asked:
        seen = f"{name}, which has no {'such null' if request.permutations else 'closed form of a null'}"
        allowed = "a map that is a covariance with measured responses (igc, bsc, linear_igc, naive_correlation, or "
        remedy = "set permutations=0"
        if not request.permutations:
            remedy = "permute (permutations=199), or take a shared baseline"
        raise MethodError(explain("permutations", seen, f"{allowed}summary=covariance)", remedy))
    return test
