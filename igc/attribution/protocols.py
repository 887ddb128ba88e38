"""The two kinds of attribution, and what they give back.

A *sample attribution* turns a batch of inputs into maps. A *dataset attribution* says which units of work make its
state, and turns the merged state into the map of the dataset. Whoever runs the units (see :mod:`igc.streaming`) need
not know what they mean, and no attribution knows how they are run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from torch import Tensor

from igc.attribution.estimate import MapEstimate
from igc.attribution.gradients import Inputs, Outputs
from igc.attribution.problem import Problem, Rows
from igc.attribution.scores import Scores
from igc.attribution.tables import Table
from igc.errors import MethodError, explain
from igc.stats.moments import Array

__all__ = [
    "Choosing",
    "DatasetAttribution",
    "DrawnAttribution",
    "Method",
    "Options",
    "Outcome",
    "SampleAttribution",
    "Work",
]


class SampleAttribution(Protocol):
    """A method that explains samples one by one."""

    def attribute(self, outputs: Outputs, inputs: Inputs, rows: Rows) -> Tensor:
        """Return the maps of a batch, (batch, target, component), all inputs joined on the last axis.

        ``rows`` are the numbers of the samples: what is drawn for a sample follows from its number alone.
        """
        ...

    def evaluations(self, n_samples: int) -> int:
        """Return how many points of the model are evaluated for so many samples."""
        ...


class DrawnAttribution(Protocol):
    """A method that explains samples one by one, through random draws."""

    @property
    def replicates(self) -> int:
        """Number of independent estimates of each sample's map, whose mean is the map."""
        ...

    def replicate(self, outputs: Outputs, inputs: Inputs, rows: Rows, index: int) -> Tensor:
        """Return one estimate of the maps of a batch, (batch, target, component)."""
        ...

    def evaluations(self, n_samples: int) -> int:
        """Return how many points of the model are evaluated for so many samples."""
        ...


@dataclass(frozen=True)
class Work:
    """Units of work that make (more of) a state.

    Attributes
    ----------
    n_units : int
        Number of units.
    unit : callable
        Computes the state of a unit from its index.
    kind : type
        Class of the states.
    label : str
        Names this work; distinct for each work of one attribution.
    """

    n_units: int
    unit: Callable[[int], Any]
    kind: type[Any]
    label: str


@dataclass(frozen=True)
class Outcome:
    """The map of a dataset and its diagnostics.

    Attributes
    ----------
    estimate : MapEstimate
        The map, (target, component).
    completeness_error, completeness_standard_error : array (target,), optional
        Sum of the map minus the score *before* closure, and the estimator's standard error of this gap.
    evaluations : int
        Gradient points (or forward evaluations) used.
    maps : mapping of str to array (target, component)
        Further maps, by name.
    tables : mapping of str to Table
        Further numbers of the dataset that are no maps, by name.
    signed : bool
        False for a map of absolute values.
    regions : MapEstimate, optional
        Sums over regions (target, roi), where they were made in the stream; else they follow from the map.
    chosen : mapping of str to (str or float)
        What the method chose by itself, such as the layer; attributes of the result.
    """

    estimate: MapEstimate
    completeness_error: Array | None = None
    completeness_standard_error: Array | None = None
    evaluations: int = 0
    maps: Mapping[str, Array] = field(default_factory=dict)
    tables: Mapping[str, Table] = field(default_factory=dict)
    signed: bool = True
    regions: MapEstimate | None = None
    chosen: Mapping[str, str | float] = field(default_factory=dict)


class DatasetAttribution(Protocol):
    """A method that explains a dataset, through a mergeable state."""

    def plan(self, state: Any | None) -> Work | None:
        """Return the work to add to the state so far (None at first), or None when it is enough."""
        ...

    def precision(self, state: Any) -> float | None:
        """Return the estimated relative error of the map so far, or None where nothing is estimated."""
        ...

    def finish(self, state: Any | None) -> Outcome:
        """Turn the state into the map."""
        ...


@runtime_checkable
class Choosing(Protocol):
    """A dataset attribution that can be computed in several ways, and measures which is the cheapest."""

    @property
    def side(self) -> str:
        """The way taken."""
        ...

    def choose(self, kept: str | None) -> Choosing:
        """Return the attribution by the way of an earlier run, or by the one measured to be the cheapest."""
        ...


@dataclass(frozen=True)
class Options:
    """What a caller may choose.

    Attributes
    ----------
    baselines : str, int, array or None
        "data", "zero", "mean", so many drawn once and shared, or given; None: the method's own choice.
    points, tolerance : float, optional
        Gradient points a sample, or the relative error to stop at.
    summary : str, optional
        "mean", "mean_absolute" or "covariance", for sample attributions.
    extra : mapping
        Options of a single method.
    """

    baselines: Any = None
    points: float | None = None
    tolerance: float | None = None
    summary: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("points", "tolerance"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise MethodError(explain(name, value, "a positive number", "correct it or leave it out"))
        if self.points is not None and self.tolerance is not None:
            raise MethodError(explain("points and tolerance", "both", "one of them", "leave one out"))


@dataclass(frozen=True)
class Method:
    """An entry of the registry.

    Attributes
    ----------
    name : str
        What users call it.
    build : callable
        Makes the dataset attribution from problem, scores and options.
    title : str
        What it gives, in a line.
    needs : str
        "gradient", "forward" (black box), "linear model" or "data" (no model).
    closes_to : {"score", "one"}, optional
        What the map of the dataset sums to: the score, 1, or nothing fixed.
    signed : bool
        Whether signs mean something.
    source : str
        Where it was published.
    options : tuple of str
        Names of the extra options it takes.
    only_used : bool
        Whether an input that the model does not use gets nothing; a pattern may go with a prediction all the same.
    """

    name: str
    build: Callable[[Problem, Scores, Options], DatasetAttribution]
    title: str
    needs: str
    closes_to: Literal["score", "one"] | None
    signed: bool
    source: str
    options: tuple[str, ...] = ()
    only_used: bool = True

    @property
    def complete(self) -> bool:
        """Whether the map sums to the score."""
        return self.closes_to == "score"
