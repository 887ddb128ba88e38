"""How well the model predicts, and how inputs go with responses: the one pass every method starts from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from igc.attribution.problem import Problem, Rows
from igc.errors import MethodError, explain
from igc.stats.correlation import correlation, correlation_scale, leave_one_out
from igc.stats.moments import Array, Moments
from igc.stats.nested import join_parts, split_parts

__all__ = ["Scores", "score_unit"]


@dataclass(frozen=True)
class Scores:
    """Moments of response, prediction and input.

    Attributes
    ----------
    pooled : Moments
        Of all samples, in one block. Scalars: response and prediction; map: the input, or of no component where that
        would take too much memory and no method asked for it.
    groups : Moments
        The same by group block; without blocks where there is one group only, and with a map of no component where
        that would take too much memory.
    """

    pooled: Moments
    groups: Moments

    def merge(self, other: Scores) -> Scores:
        """Combine with the scores of other samples."""
        return Scores(self.pooled.merge(other.pooled), self.groups.merge(other.groups))

    def to_arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """Return the state as named arrays."""
        return join_parts(pooled=self.pooled, groups=self.groups)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[np.generic]]) -> Scores:
        """Rebuild a state from :meth:`to_arrays`."""
        parts = split_parts(arrays)
        return cls(Moments.from_arrays(parts["pooled"]), Moments.from_arrays(parts["groups"]))

    @property
    def grouped(self) -> bool:
        """Whether responses and predictions are known by group."""
        return len(self.groups.block) > 1

    @property
    def resolved(self) -> bool:
        """Whether maps are kept by group, too."""
        return self.grouped and self.groups.mean_map.shape[-1] > 0

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return round(float(self.pooled.weight[0]))

    @property
    def scale(self) -> Array:
        """1 / (sd(response) sd(prediction)), (target,); 0 where either is constant."""
        return np.asarray(correlation_scale(self.pooled)[0])

    @property
    def score(self) -> Array:
        """Pearson correlation of response and prediction, (target,); NaN where either is constant."""
        return np.where(self.scale > 0, correlation(self.pooled)[0], np.nan)

    @property
    def input_response(self) -> Array:
        """Population covariance of input and response, (target, component).

        Raises
        ------
        MethodError
            If it was not kept.
        """
        if not self.pooled.mean_map.shape[-1]:
            seen, allowed = "too many targets and components", "less, or `igc` with the data as baseline"
            raise MethodError(explain("covariance of inputs and responses", seen, allowed, "explain fewer targets"))
        return np.asarray(self.pooled.covariance(0)[0])

    def of_predictions(self) -> Scores:
        """Return the scores with the predictions in the role of the responses: every score is 1, or NaN."""
        return replace(self, pooled=self.pooled.choose_scalars([1, 1]), groups=self.groups.choose_scalars([1, 1]))

    @cached_property
    def without_group(self) -> Moments:
        """Moments without each group block in turn."""
        return leave_one_out(self.groups)


def score_unit(problem: Problem, maps: bool, resolved: bool, unit: int) -> Scores:
    """Compute the moments of response, prediction and input over one design block.

    Parameters
    ----------
    problem : Problem
        The attribution to be made.
    maps : bool
        Whether to keep the covariance of inputs and responses.
    resolved : bool
        Whether to keep it by group.
    unit : int
        The design block.

    Returns
    -------
    Scores
    """
    start, stop = problem.block_bounds()[unit]
    rows = np.arange(start, stop)
    stripes = problem.stripes(len(rows))
    total = _score_rows(problem, maps, resolved, rows[stripes[0]], unit + 1)
    for stripe in stripes[1:]:
        total = total.merge(_score_rows(problem, maps, resolved, rows[stripe]))
    return total


def _score_rows(problem: Problem, maps: bool, resolved: bool, rows: Rows, following: int | None = None) -> Scores:
    inputs, responses = problem.load(rows)
    if following is not None:
        problem.expect_block(following)
    scalars = np.stack([responses, problem.predict(inputs)], axis=2)
    flat = np.concatenate([x.reshape(len(x), -1).double().cpu().numpy() for x in inputs], axis=1)[:, None, :]
    none = flat[..., :0]
    several = problem.groups.max(initial=0) > 0
    groups = Moments.of(scalars, flat if resolved else none, problem.groups[rows]) if several else None
    if groups is not None and resolved and maps:
        return Scores(groups.pooled(), groups)
    pooled = Moments.of(scalars, flat if maps else none)
    n_targets = responses.shape[1]
    return Scores(pooled, Moments.empty(n_targets, 1, 2, none.shape[-1]) if groups is None else groups)
