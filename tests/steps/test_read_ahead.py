"""Samples that are read in the background are the samples, and the next unit is what is read."""

import pickle
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from igc.attribution.correlation.design import PairDesign
from igc.attribution.correlation.pairs import pair_unit
from igc.attribution.gradients import Outputs
from igc.attribution.problem import Problem, group_blocks
from igc.attribution.scores import score_unit
from igc.steps.read_ahead import ReadAhead
from igc.steps.sources import ArraySource
from igc.testing.probes import smooth_network, toy_samples


@dataclass(frozen=True)
class Disk(ArraySource):
    """Samples that keep count of what is read."""

    seen: list = field(default_factory=list)

    def read(self, rows):
        self.seen.append(rows)
        if len(rows) and rows[0] == 999:
            raise OSError("bad sector")
        return super().read(rows)


def problem_of(ahead):
    inputs, responses = toy_samples(90, 5, smooth_network(5, 2))
    disk = Disk((inputs,), responses, np.arange(90))
    source = ReadAhead(disk) if ahead else disk
    model = smooth_network(5, 2)
    return Problem(Outputs(model), source, group_blocks(None, 90), dtype=torch.float64, block_size=30), disk


def test_results_are_the_same_bits_and_nothing_is_read_twice():
    states, reads = [], []
    for ahead in (False, True):
        problem, disk = problem_of(ahead)
        design = PairDesign(tuple(problem.block_bounds()), 0, 0, 2)
        parts = [pair_unit(problem, design, np.zeros((2, 5)), "all", i).to_arrays() for i in range(design.n_units)]
        parts += [score_unit(problem, True, True, i).to_arrays() for i in range(3)]
        states.append(parts)
        reads.append(sorted(tuple(rows) for rows in disk.seen))
    assert reads[0] == reads[1]
    for plain, ahead in zip(*states, strict=True):
        for name, value in plain.items():
            np.testing.assert_array_equal(ahead[name], value)


def test_other_samples_than_announced_are_read_as_asked():
    problem, disk = problem_of(True)
    problem.source.expect(np.arange(5))
    np.testing.assert_array_equal(problem.source.read(np.arange(7, 9))[0][0], disk.inputs[0][7:9])
    np.testing.assert_array_equal(problem.source.read(np.arange(5))[0][0], disk.inputs[0][:5])
    assert sum(len(rows) == 5 for rows in disk.seen) == 1
    problem.source.expect(np.arange(3))
    assert len(pickle.loads(pickle.dumps(problem.source)).read(np.arange(3))[1]) == 3


def test_an_error_of_the_disk_is_raised_where_the_samples_are_needed():
    problem, _ = problem_of(True)
    problem.source.expect(np.array([999]))
    with pytest.raises(OSError, match="bad sector"):
        problem.source.read(np.array([999]))
