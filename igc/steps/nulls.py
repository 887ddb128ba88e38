"""The permutation null of an attribution: when it is made, of which units, and how it is run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from igc.attribution.correlation.data_baseline import DataBaselineCorrelation
from igc.attribution.correlation.null import RegionNull
from igc.attribution.problem import Problem
from igc.attribution.protocols import DatasetAttribution, Method, Options
from igc.attribution.scores import Scores
from igc.errors import DataError, MethodError, ShapeError, explain
from igc.roi.sets import RoiSet, indicator
from igc.stats.exchange import Exchange, exchange_units
from igc.stats.moments import Array

__all__ = ["AUTOMATIC_TARGETS", "NullRequest", "NullSettings", "plan_null", "region_null"]

AUTOMATIC_TARGETS = 64
"""With more targets the null, which takes a gradient of every target at every point, is made on demand only."""

_PERMUTATIONS = 199
_PAIRS, _MOST_POINTS = 8192, 16.0


@dataclass(frozen=True)
class NullSettings:
    """What a caller asks for.

    Attributes
    ----------
    permutations : int, optional
        How many; 0: no null. None: 199 where there are ROI sets, a method that has one, and units to exchange.
    points : float, optional
        Gradient points a sample; their noise is estimated and taken out of the null's spread. None: one, and more with
        few samples, where they cost nothing.
    exchange : array (sample,) or str, optional
        Unit of each sample, or the variable of the samples that says so.
    """

    permutations: int | None = None
    points: float | None = None
    exchange: Any = None

    def __post_init__(self) -> None:
        if self.permutations is not None and not (
            isinstance(self.permutations, int) and (self.permutations == 0 or self.permutations >= 19)
        ):
            raise MethodError(explain("permutations", self.permutations, "0, or at least 19", "correct it"))
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
        """Return the settings with the labels of some samples of a store.

        Raises
        ------
        DataError
            If the store has no such variable of one value a sample.
        """
        if self.exchange is None:
            return self
        name = str(self.exchange)
        known = sorted(str(key) for key, value in samples.variables.items() if value.dims == ("sample",))
        if name not in known:
            raise DataError(explain("exchange", repr(name), ", ".join(known), "name a variable of the samples"))
        return replace(self, exchange=np.asarray(samples[name].values)[rows])


@dataclass(frozen=True)
class NullRequest:
    """A null to be made.

    Attributes
    ----------
    exchange : Exchange
        Units to permute.
    indicator : array (roi, component)
        The regions.
    permutations : int
        How many.
    points : float
        Gradient points a sample.
    """

    exchange: Exchange
    indicator: Array
    permutations: int
    points: float


def _has_null(method: Method, options: Options) -> bool:
    own = options.baselines is None or (isinstance(options.baselines, str) and options.baselines == "data")
    return method.name == "igc" and own


def plan_null(
    settings: NullSettings,
    method: Method,
    options: Options,
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
    method, options, rois, n_targets, n_samples
        The attribution it belongs to.
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
    if settings.permutations == 0 or not (asked or (rois and n_targets <= AUTOMATIC_TARGETS)):
        return None
    if not _has_null(method, options) or not rois:
        if not asked:
            return None
        seen = f"{method.name} with baselines {options.baselines!r} and {len(rois)} ROI sets"
        remedy = "give ROI sets, or set permutations=0"
        raise MethodError(explain("permutations", seen, "igc with the data as baseline and ROI sets", remedy))
    try:
        exchange = exchange_units(n_samples, groups, settings.exchange, position)
    except DataError:
        if asked:
            raise
        return None
    points = settings.points or min(max(1.0, _PAIRS / n_samples), _MOST_POINTS)
    return NullRequest(exchange, indicator(rois)[0], settings.permutations or _PERMUTATIONS, points)


def region_null(
    request: NullRequest, problem: Problem, scores: Scores, attribution: DatasetAttribution
) -> RegionNull | None:
    """Return the null's work on one fold; None where the regions do not fit or there is no pairs estimator."""
    if not isinstance(attribution, DataBaselineCorrelation) or request.indicator.shape[1] != problem.n_components:
        return None
    return RegionNull(
        problem,
        problem.source.read_responses,
        scores,
        attribution.pilot,
        request.indicator,
        request.exchange,
        request.permutations,
        request.points,
    )
