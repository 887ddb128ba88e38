"""How well the model predicts, and how inputs go with responses: the one pass every method starts from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from igc.stats.correlation import correlation, correlation_scale, leave_one_out
from igc.stats.moments import Array, Moments

__all__ = ["Scores"]


@dataclass(frozen=True)
class Scores:
    """Moments of response, prediction and input, by group block.

    Attributes
    ----------
    moments : Moments
        Scalars: response and prediction; map: the input. Blocks are groups, or a single one where groups are not
        resolved.
    """

    moments: Moments

    @cached_property
    def pooled(self) -> Moments:
        """All blocks together."""
        return self.moments.pooled()

    @property
    def resolved(self) -> bool:
        """Whether groups are kept apart."""
        return len(self.moments.block) > 1

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
        """Population covariance of input and response, (target, component)."""
        return np.asarray(self.pooled.covariance(0)[0])

    def of_predictions(self) -> Scores:
        """Return the scores with the predictions in the role of the responses: every score is 1, or NaN."""
        return Scores(self.moments.choose_scalars([1, 1]))

    @cached_property
    def without_group(self) -> Moments:
        """Moments without each group block in turn."""
        return leave_one_out(self.moments)
