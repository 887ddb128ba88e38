"""The mergeable sums over pairs of samples, in which finished replicates are folded into their spread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from igc.errors import StateMismatchError, explain
from igc.stats.moments import Array, Moments
from igc.stats.nested import join_parts, split_parts

__all__ = ["PairState"]

Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PairState:
    """Sums over the pairs of some units of one design.

    What a map needs is held once, and not once a replicate: a replicate whose units are all there becomes one
    observation of ``between``.

    Attributes
    ----------
    within : Moments
        Of all pairs, in one block: the scalar is a pair's sum over components, the map its v by cell.
    between : Moments
        Of finished replicates, in one block (none at first): the same, one observation a replicate.
    finished : int
        Number of finished replicates.
    units : int
        Units of a replicate.
    open : array of int (open, 2)
        Replicates that are not finished, and how many of their units are there.
    open_weight, open_total, open_map : array (open,), (open, target), (open, target, cell)
        Their weight, and weighted sums of the scalar and of the map.
    control, control_group : Moments
        Scalar: response; map: the control variate of a sample by cell. Of all samples, and by group; without blocks
        where they follow from the scores.
    group : array of int (group,)
        Groups that any pair touches, increasing.
    touching : array (group, target, cell)
        Weighted sum of v over the pairs that touch a group, each counted once; of the last cells only (the regions)
        where all of them would take too much memory.
    touching_weight : array (group,)
        Their weight.
    evaluations : int
        Gradient points used.
    """

    within: Moments
    between: Moments
    finished: int
    units: int
    open: Labels
    open_weight: Array
    open_total: Array
    open_map: Array
    control: Moments
    control_group: Moments
    group: Labels
    touching: Array
    touching_weight: Array
    evaluations: int

    def merge(self, other: PairState) -> PairState:
        """Combine with the sums over other units of the same design."""
        if self.touching.shape[1:] != other.touching.shape[1:] or self.units != other.units:
            seen, allowed = other.touching.shape[1:], self.touching.shape[1:]
            raise StateMismatchError(explain("pair sums", seen, allowed, "merge states of one design"))
        touched = _joined((self.group, other.group), (self.touching, other.touching))
        weights = _joined((self.group, other.group), (self.touching_weight, other.touching_weight))
        labels = (self.open[:, 0], other.open[:, 0])
        count = _joined(labels, (self.open[:, 1], other.open[:, 1]))[1]
        opened, weight = _joined(labels, (self.open_weight, other.open_weight))
        total = _joined(labels, (self.open_total, other.open_total))[1]
        maps = _joined(labels, (self.open_map, other.open_map))[1]
        between = _merged(self.between, other.between)
        done = count == self.units
        for row in np.flatnonzero(done):
            between = _merged(between, _observation(weight[row], total[row], maps[row]))
        left = ~done
        return PairState(
            within=_merged(self.within, other.within),
            between=between,
            finished=self.finished + other.finished + int(done.sum()),
            units=self.units,
            open=np.column_stack([opened, count])[left],
            open_weight=weight[left],
            open_total=total[left],
            open_map=maps[left],
            control=_merged(self.control, other.control),
            control_group=_merged(self.control_group, other.control_group),
            group=touched[0],
            touching=touched[1],
            touching_weight=weights[1],
            evaluations=self.evaluations + other.evaluations,
        )

    def to_arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """Return the state as named arrays."""
        arrays: dict[str, npt.NDArray[np.generic]] = {
            name: np.atleast_1d(np.asarray(getattr(self, name))) for name in _PLAIN
        }
        return arrays | join_parts(**{name: getattr(self, name) for name in _MOMENTS})

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[np.generic]]) -> PairState:
        """Rebuild a state from :meth:`to_arrays`."""
        values: dict[str, object] = {name: arrays[name] for name in _PLAIN}
        values |= {name: int(arrays[name][0]) for name in ("finished", "units", "evaluations")}
        values |= {name: Moments.from_arrays(part) for name, part in split_parts(arrays).items()}
        return cls(**values)  # type: ignore[arg-type]

    @classmethod
    def of_unit(cls, within: Moments, replicate: int, units: int, **rest: object) -> PairState:
        """Return the state of one unit of pairs.

        Parameters
        ----------
        within : Moments
            Of its pairs.
        replicate, units : int
            The replicate it belongs to, and how many units that has.
        **rest
            ``group``, ``touching``, ``touching_weight``, ``evaluations``.
        """
        _, n_targets, n_cells = within.mean_map.shape
        weight = within.weight
        total, maps = weight[0] * within.mean_scalars[0, :, 0], weight[0] * within.mean_map[0]
        last = units == 1
        keep = slice(0, 0 if last else 1)
        return cls(
            within=within,
            between=_observation(float(weight[0]), total, maps) if last else _nothing(n_targets, n_cells),
            finished=int(last),
            units=units,
            open=np.array([[replicate, 1]], dtype=np.int64)[keep],
            open_weight=weight[keep],
            open_total=total[None][keep],
            open_map=maps[None][keep],
            control=_nothing(n_targets, 0),
            control_group=_nothing(n_targets, 0),
            **rest,  # type: ignore[arg-type]
        )

    @classmethod
    def of_control(cls, control: Moments, groups: Moments, units: int, n_cells: int, n_touching: int) -> PairState:
        """Return the state of one block of samples, without pairs."""
        n_targets = control.mean_scalars.shape[1]
        empty = _nothing(n_targets, n_cells)
        return cls(
            within=empty,
            between=empty,
            finished=0,
            units=units,
            open=np.zeros((0, 2), np.int64),
            open_weight=np.zeros(0),
            open_total=np.zeros((0, n_targets)),
            open_map=np.zeros((0, n_targets, n_cells)),
            control=control,
            control_group=groups,
            group=np.zeros(0, np.int64),
            touching=np.zeros((0, n_targets, n_touching)),
            touching_weight=np.zeros(0),
            evaluations=0,
        )


_MOMENTS = ("within", "between", "control", "control_group")
_PLAIN = (
    *("finished", "units", "open", "open_weight", "open_total", "open_map"),
    *("group", "touching", "touching_weight", "evaluations"),
)


def _nothing(n_targets: int, n_cells: int) -> Moments:
    return Moments.empty(n_targets, n_targets, 1, n_cells)


def _merged(first: Moments, second: Moments) -> Moments:
    """Merge, where either may be without blocks, whatever its shape."""
    if not len(first.block):
        return second
    return first.merge(second) if len(second.block) else first


def _joined(
    labels: tuple[Labels, Labels], values: tuple[npt.NDArray[Any], npt.NDArray[Any]]
) -> tuple[Labels, npt.NDArray[Any]]:
    """Add up values of equal labels."""
    if np.array_equal(*labels):
        return labels[0], values[0] + values[1]
    names = np.union1d(*labels)
    total = np.zeros((len(names), *values[0].shape[1:]), values[0].dtype)
    for label, value in zip(labels, values, strict=True):
        total[np.searchsorted(names, label)] += value
    return names, total


def _observation(weight: float, total: Array, maps: Array) -> Moments:
    """Return a replicate as one observation of weight ``weight``."""
    share = 1 / weight if weight > 0 else 0.0
    n_targets, n_cells = maps.shape
    return Moments(
        block=np.zeros(1, np.int64),
        weight=np.array([weight]),
        mean_scalars=(share * total)[None, :, None],
        mean_map=(share * maps)[None],
        scalars=np.zeros((1, n_targets, 1, 1)),
        scalar_map=np.zeros((1, n_targets, 1, n_cells)),
        map=np.zeros((1, n_targets, n_cells)),
        absolute_map=np.zeros((1, n_targets, 0)),
    )
