"""How attribution methods hand out the terms of a Taylor series, and which principles that keeps.

A term has a multi-index k: how often each component takes part in it. An attribution is then
a_i = sum over k of w_i(k) T(k). The weights should be 1 for a term of component i alone, 0 where i takes no part, and
sum to 1 over components for every term.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from igc.errors import MethodError, explain
from igc.stats.moments import Array

__all__ = ["WEIGHTINGS", "Principles", "Weighting", "find_weighting", "principles"]

Index = npt.NDArray[np.int64]

ALLOWED = 0.05
"""Share of the change of the outputs, or of the importance of inputs, up to which a principle counts as met."""


def _degree(k: Index) -> Array:
    return k.astype(np.float64)


def _share_of_degree(k: Index) -> Array:
    return np.asarray(k / k.sum(), dtype=np.float64)


def _takes_part(k: Index) -> Array:
    return (k > 0).astype(np.float64)


def _equal_share(k: Index) -> Array:
    return np.asarray((k > 0) / np.count_nonzero(k), dtype=np.float64)


@dataclass(frozen=True)
class Weighting:
    """How one method hands out terms.

    Attributes
    ----------
    method : str
        Name of the method, as :func:`igc.methods` has it where it is registered.
    weights : callable
        From a multi-index (component,) to the weight of each component in the term.
    baseline : {"input", "zero", "data"}
        Where the series starts: at the input itself (and what it is multiplied by is the distance to zero), at a single
        baseline, by custom zero, or at all of the data.
    first_order_only : bool
        Whether the method is the first-order term of an expansion at the input, and leaves out all others of that.
    layered : bool
        Whether the weights hold for the terms of each neuron, layer by layer, and not for those of the whole network.
    formula : str
        The weights, for tables.
    leaks : bool
        Whether some of the change is lost by design, in an amount that the terms do not tell (what biases get).
    """

    method: str
    weights: Callable[[Index], Array]
    baseline: Literal["input", "zero", "data"]
    formula: str
    first_order_only: bool = False
    layered: bool = False
    leaks: bool = False

    def misassigned(self, k: Index) -> float:
        """Return how far the weights of a term are from summing to 1."""
        return float(abs(self.weights(k).sum() - 1.0))


WEIGHTINGS: dict[str, Weighting] = {
    weighting.method: weighting
    for weighting in (
        Weighting("gradient_x_input", _degree, "input", "kᵢ", first_order_only=True),
        Weighting("occlusion", _takes_part, "zero", "1 if kᵢ ≥ 1"),
        Weighting("occlusion_patch", _takes_part, "zero", "1 if the patch takes part"),
        Weighting("lrp_epsilon", _share_of_degree, "zero", "kᵢ/|k| by neuron, at zero", layered=True, leaks=True),
        Weighting("deeplift", _share_of_degree, "zero", "kᵢ/|k| by neuron", layered=True),
        Weighting("integrated_gradients", _share_of_degree, "zero", "kᵢ/|k|"),
        Weighting("baseline_shapley", _equal_share, "data", "1/members"),
        Weighting("expected_gradients", _share_of_degree, "data", "mean of kᵢ/|k|"),
    )
}
"""The methods whose weights are known, from those that keep least to those that keep most."""


def find_weighting(method: str) -> Weighting:
    """Return the weights of a method; raises MethodError where they are not known."""
    if method not in WEIGHTINGS:
        raise MethodError(explain("method", repr(method), ", ".join(WEIGHTINGS), "choose one with known weights"))
    return WEIGHTINGS[method]


@dataclass(frozen=True)
class Principles:
    """What a method keeps on some data; all numbers are shares, 0 is best, NaN is not known.

    Attributes
    ----------
    method : str
        Its name.
    approximation : float
        Change of the outputs that the method's own expansion leaves out, of the mean absolute change.
    independent, interactive : float
        Effects of one region alone, and of several together, that are handed out more than once or not at all, of the
        mean absolute change.
    hidden : float
        Importance of inputs that equal the baseline, and so get nothing whatever they do.
    """

    method: str
    approximation: float
    independent: float
    interactive: float
    hidden: float

    @property
    def kept(self) -> dict[str, bool | None]:
        """Which of the three principles are met; None where it is not known."""
        return {
            "low approximation error": _within(self.approximation),
            "right assignment": _within(max(self.independent, self.interactive)),
            "unbiased baseline": _within(self.hidden),
        }

    @property
    def met(self) -> int:
        """Number of principles that are known to be met."""
        return sum(kept is True for kept in self.kept.values())

    @property
    def summary(self) -> str:
        """How many principles are met, as text: with a plus where more may be."""
        return f"{self.met}{'+' if None in self.kept.values() else ''} of {len(self.kept)}"


def _within(value: float) -> bool | None:
    return None if math.isnan(value) else value <= ALLOWED


def principles(method: str, sizes: Mapping[str, float], first_order_error: float, hidden_zero: float) -> Principles:
    """Judge a method by the effects that were found in some data.

    Of effects of higher order the smallest misassignment counts, that of second order, so that the numbers of methods
    which overcount with the order are lower bounds.

    Parameters
    ----------
    method : str
        A key of :data:`WEIGHTINGS`.
    sizes : mapping of str to float
        Mean absolute "independent" and "interactive" effects, of the mean absolute change of the outputs.
    first_order_error : float
        What the first-order expansion at the input leaves out, of the same.
    hidden_zero : float
        Importance of inputs that are zero. With all data as baselines nothing that varies is hidden.

    Returns
    -------
    Principles
    """
    weighting = find_weighting(method)
    alone, together = (weighting.misassigned(np.array(k)) for k in ((2, 0), (1, 1)))
    if weighting.layered:  # the terms are those of neurons, and say nothing of the whole network
        alone = together = math.nan
    return Principles(
        method,
        math.nan if weighting.leaks else first_order_error if weighting.first_order_only else 0.0,
        alone * sizes["independent"],
        together * sizes["interactive"],
        0.0 if weighting.baseline == "data" else hidden_zero,
    )
