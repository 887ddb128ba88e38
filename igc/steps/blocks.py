"""Blocks of targets: where there are so many that their maps would not fit into memory, one block after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from igc.attribution.estimate import MapEstimate
from igc.attribution.permuted import NullMap
from igc.attribution.problem import Problem, Rows, SampleSource
from igc.attribution.protocols import Outcome
from igc.attribution.scores import Scores
from igc.stats.moments import Array, Moments

__all__ = [
    "BLOCK_BYTES",
    "TargetSource",
    "combine_choices",
    "join_blocks",
    "of_targets",
    "target_blocks",
    "without_maps",
]

BLOCK_BYTES = 1 << 30
"""What one block of targets may take in memory while its maps are made."""
CELL_BYTES = 400
"""Bytes a target and cell: scores, sums of a unit and of all units, their spread, and two unfinished replicates."""


@dataclass(frozen=True)
class TargetSource:
    """Samples with some of their responses.

    Attributes
    ----------
    source : SampleSource
        The samples.
    targets : slice
        Which responses.
    """

    source: SampleSource
    targets: slice

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return self.source.n_samples

    @property
    def input_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shape of each input of one sample."""
        return self.source.input_shapes

    def read(self, rows: Rows) -> tuple[tuple[npt.NDArray[Any], ...], npt.NDArray[Any]]:
        """Return the inputs (row, ...) and the chosen responses (row, target)."""
        inputs, responses = self.source.read(rows)
        return inputs, responses[:, self.targets]

    def read_responses(self, rows: Rows) -> npt.NDArray[Any]:
        """Return the chosen responses (row, target)."""
        return self.source.read_responses(rows)[:, self.targets]


def target_blocks(problem: Problem, n_targets: int) -> list[slice]:
    """Cut targets into blocks of similar size that fit into memory.

    Parameters
    ----------
    problem : Problem
        The attribution to be made.
    n_targets : int
        Number of targets.

    Returns
    -------
    list of slice
    """
    most = max(1, BLOCK_BYTES // (CELL_BYTES * max(1, problem.cells.total)))
    count = -(-n_targets // most)
    edges = [n_targets * i // count for i in range(count + 1)]
    return [slice(a, b) for a, b in pairwise(edges)]


def of_targets(problem: Problem, block: slice, n_targets: int) -> Problem:
    """Return the problem of a block of targets."""
    chosen = problem.outputs.targets or tuple(range(n_targets))
    outputs = replace(problem.outputs, targets=chosen[block])
    source = TargetSource(problem.source, block)
    return replace(problem, outputs=outputs, source=source, every_target=problem.source)


def join_blocks(
    parts: list[tuple[Scores, Outcome, NullMap | None]],
) -> tuple[Scores, Outcome, NullMap | None]:
    """Put the results of blocks of targets one after the other.

    Parameters
    ----------
    parts : list of (Scores, Outcome, NullMap or None)
        One a block. The list is emptied, so that what is joined is not held twice.

    Returns
    -------
    Scores, Outcome, NullMap or None
    """
    scores, outcomes = [part[0] for part in parts], [part[1] for part in parts]
    nulls = [part[2] for part in parts if part[2] is not None]
    known = len(nulls) == len(parts)
    parts.clear()
    joined = Scores(_joined_moments([s.pooled for s in scores]), _joined_moments([s.groups for s in scores]))
    scores.clear()
    outcome = _joined_outcomes(outcomes)
    outcomes.clear()
    null = None
    if known:
        null = NullMap(
            np.concatenate([n.value for n in nulls], axis=1),
            _joined_optional([n.noise for n in nulls]),
            sum(n.evaluations for n in nulls),
            _joined_optional([n.deviation for n in nulls]),
        )
    return joined, outcome, null


def without_maps(scores: Scores) -> Scores:
    """Drop the covariances with the inputs, which nothing needs once the maps of a block are made."""
    return Scores(_scalars_only(scores.pooled), _scalars_only(scores.groups))


def _scalars_only(moments: Moments) -> Moments:
    dropped = {name: getattr(moments, name)[..., :0] for name in ("mean_map", "scalar_map", "map", "absolute_map")}
    return replace(moments, **dropped)


def _joined_moments(parts: Sequence[Moments]) -> Moments:
    """Join along the axis of targets; a map that all targets share is that of the first."""
    shared = parts[0].mean_map.shape[1] == 1 and parts[0].mean_scalars.shape[1] != 1
    values: dict[str, Any] = {}
    for item in fields(Moments):
        arrays = [getattr(part, item.name) for part in parts]
        single = item.name in ("block", "weight") or (shared and item.name in ("mean_map", "map", "absolute_map"))
        values[item.name] = arrays[0] if single else np.concatenate(arrays, axis=1)
    return Moments(**values)


def combine_choices(parts: Sequence[Mapping[str, str | float]], weights: Sequence[float]) -> dict[str, str | float]:
    """Combine what a method chose by itself, or found, in folds or blocks of targets.

    Parameters
    ----------
    parts : sequence of mapping
        One a part.
    weights : sequence of float
        Of the parts.

    Returns
    -------
    dict
        Numbers are averaged over the parts that have them; of names all different ones are given, in order.
    """
    found: dict[str, str | float] = {}
    for name in dict.fromkeys(name for part in parts for name in part):
        held = [(part[name], weight) for part, weight in zip(parts, weights, strict=True) if name in part]
        numbers = [(value, weight) for value, weight in held if not isinstance(value, str)]
        if len({value for value, _ in held}) == 1:
            found[name] = held[0][0]
        elif len(numbers) == len(held):
            found[name] = float(np.average([n for n, _ in numbers], weights=[w for _, w in numbers]))
        else:
            found[name] = ", ".join(dict.fromkeys(str(value) for value, _ in held))
    return found


def _joined_outcomes(parts: Sequence[Outcome]) -> Outcome:
    regions = [part.regions for part in parts if part.regions is not None]
    # a block of a single category is not told from one of values, and has no mean over its class
    names = [name for name in parts[0].maps if all(name in part.maps for part in parts)]
    tables = {
        name: replace(table, estimate=_joined_estimates([part.tables[name].estimate for part in parts]))
        for name, table in parts[0].tables.items()
    }
    return Outcome(
        _joined_estimates([part.estimate for part in parts]),
        _joined_optional([part.completeness_error for part in parts]),
        _joined_optional([part.completeness_standard_error for part in parts]),
        sum(part.evaluations for part in parts),
        {name: np.concatenate([part.maps[name] for part in parts]) for name in names},
        tables,
        all(part.signed for part in parts),
        _joined_estimates(regions) if len(regions) == len(parts) else None,
        combine_choices([part.chosen for part in parts], [len(part.estimate.value) for part in parts]),
    )


def _joined_estimates(parts: Sequence[MapEstimate]) -> MapEstimate:
    without = [part.without_group for part in parts]
    width = min(0 if w is None else w.shape[-1] for w in without)
    kept = [w[..., w.shape[-1] - width :] for w in without if w is not None] if width else None
    return replace(
        parts[0],
        value=np.concatenate([part.value for part in parts]),
        replicates=_joined_optional([part.replicates for part in parts], axis=1),
        without_group=None if kept is None else np.concatenate(kept, axis=1),
        spread=_joined_optional([part.spread for part in parts]),
    )


def _joined_optional(parts: Sequence[Array | None], axis: int = 0) -> Array | None:
    found = [part for part in parts if part is not None]
    return np.concatenate(found, axis=axis) if len(found) == len(parts) else None
