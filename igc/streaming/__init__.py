"""Reduce many units of work to one state: fixed tree, any executor, resumable. It does not know what a state means."""

from igc.streaming.execution import Execution
from igc.streaming.partials import Partials
from igc.streaming.reduction import State, compute_share, reduce_units

__all__ = ["Execution", "Partials", "State", "compute_share", "reduce_units"]
