from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from igc.attribution.drawn import BaselinePool
from igc.attribution.examples import choose_examples, example_maps, explained_targets, sample_method
from igc.attribution.gradients import Outputs
from igc.attribution.problem import Problem, group_blocks
from igc.attribution.standard.expected_gradients import ExpectedGradients
from igc.attribution.standard.integrated_gradients import GradientTimesInput
from igc.steps.sources import ArraySource
from igc.testing.probes import linear_model

WEIGHTS = np.array([[1.0, -2.0, 0.5, 3.0], [0.0, 1.0, -1.0, 2.0], [2.0, 2.0, 0.0, -1.0]])


def problem_of(inputs: np.ndarray, batch_size: int = 256) -> Problem:
    n = len(inputs)
    source = ArraySource((inputs,), np.zeros((n, len(WEIGHTS))), np.arange(n))
    outputs = Outputs(linear_model(WEIGHTS, 0.3))
    return Problem(outputs, source, group_blocks(None, n), dtype=torch.float64, batch_size=batch_size)


@given(counts=st.lists(st.integers(1, 30), min_size=1, max_size=6), wanted=st.integers(1, 40), seed=st.integers(0, 99))
def test_every_class_is_shown_as_often_as_any_other_that_has_enough(counts: list[int], wanted: int, seed: int) -> None:
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    chosen = choose_examples(np.eye(len(counts))[labels], True, wanted)
    assert np.all(np.diff(chosen) > 0)
    shown = np.bincount(labels[chosen], minlength=len(counts))
    assert shown.min() >= 1
    fair = max(1, wanted // len(counts))
    assert all(min(size, fair) <= n <= min(size, fair + 1) for n, size in zip(shown, counts, strict=True))


def test_examples_of_values_are_evenly_spread_and_explain_targets_in_turn() -> None:
    responses = np.random.default_rng(0).normal(size=(100, 3))
    chosen = choose_examples(responses, False, 5)
    np.testing.assert_array_equal(chosen, [10, 30, 50, 70, 90])
    np.testing.assert_array_equal(explained_targets(responses[chosen], False), [0, 1, 2, 0, 1])
    np.testing.assert_array_equal(choose_examples(responses, False, 1000), np.arange(100))
    assert len(choose_examples(responses, False, 0)) == len(choose_examples(np.eye(3), True, 0)) == 0


@pytest.mark.parametrize("batch_size", [1, 3, 256])
def test_the_map_of_an_example_is_that_of_its_own_target(batch_size: int) -> None:
    inputs = np.random.default_rng(1).normal(size=(9, 4))
    rows, targets = np.array([0, 4, 5, 8]), np.array([2, 0, 1, 0])
    maps = example_maps(GradientTimesInput(), problem_of(inputs, batch_size), rows, targets)
    np.testing.assert_allclose(maps, WEIGHTS[targets] * inputs[rows], rtol=1e-12)


def test_the_map_of_a_drawn_method_is_the_mean_of_its_draws() -> None:
    inputs = np.random.default_rng(2).normal(size=(6, 4))
    problem = problem_of(inputs)
    rows, targets = np.array([1, 3]), np.array([1, 2])
    method = ExpectedGradients(BaselinePool(problem), 40, 0)
    drawn = [method.replicate(problem.outputs, problem.load(rows)[0], rows, i) for i in range(method.replicates)]
    expected = torch.stack(drawn).mean(dim=0)[[0, 1], targets]
    np.testing.assert_allclose(example_maps(method, problem, rows, targets), expected, rtol=1e-12)


@dataclass
class OneForAll:
    """A method with one map for all targets."""

    def attribute(self, outputs, inputs, rows):
        return inputs[0][:, None] ** 2

    def evaluations(self, n_samples):
        return n_samples


def test_a_method_with_one_map_for_all_targets_gives_that_one() -> None:
    inputs = np.random.default_rng(3).normal(size=(5, 4))
    maps = example_maps(OneForAll(), problem_of(inputs), np.arange(5), np.array([2, 1, 0, 2, 1]))
    np.testing.assert_allclose(maps, inputs**2)


def test_only_methods_of_samples_give_examples() -> None:
    @dataclass
    class Attribution:
        method: object

    assert sample_method(Attribution(OneForAll())) is not None  # type: ignore[arg-type]
    assert sample_method(Attribution("igc")) is None  # type: ignore[arg-type]
    assert sample_method(object()) is None  # type: ignore[arg-type]
