"""The batch size that is found by measuring, and kept for whoever goes on with the work."""

import numpy as np
import pytest
import torch

import igc
from igc.attribution.gradients import Outputs
from igc.attribution.problem import Problem, group_blocks
from igc.steps import solving
from igc.steps.batch_size import fastest, search_batch_size, seconds_a_sample
from igc.steps.sources import ArraySource
from igc.testing.probes import smooth_network, toy_samples


def measured(times, room=np.inf):
    """Seconds a sample by size, for batches that have room."""
    tried = []

    def seconds(size):
        tried.append(size)
        if size > room:
            raise torch.OutOfMemoryError
        return times[size]

    return seconds, tried


def test_a_batch_grows_while_that_gains_five_percent_and_has_room():
    times = {256: 1.0, 512: 0.6, 1024: 0.5, 2048: 0.49, 4096: 0.1}
    seconds, tried = measured(times)
    assert fastest(256, 10**6, seconds) == 1024
    assert tried == [256, 512, 1024, 2048]  # each measured once, and none beyond the first that gains nothing
    assert fastest(256, 600, measured(times)[0]) == 512
    assert fastest(256, 300, measured(times)[0]) == 256
    assert fastest(256, 10**6, measured(times, room=512)[0]) == 512
    assert fastest(256, 10**6, measured(times, room=100)[0]) == 256


def problem(n=20):
    inputs, responses = toy_samples(n, 6, smooth_network(6, 2))
    source = ArraySource((inputs,), responses, np.arange(n))
    return Problem(Outputs(smooth_network(6, 2)), source, group_blocks(None, n), dtype=torch.float64, batch_size=8)


def test_nothing_is_searched_on_a_processor_and_what_is_measured_is_the_whole_batch():
    assert search_batch_size(problem()) is None
    seen = []
    module = smooth_network(6, 2)
    watched = Problem(
        Outputs(lambda x: seen.append(len(x)) or module(x)), problem().source, np.zeros(20, int), dtype=torch.float64
    )
    assert seconds_a_sample(watched, 64) > 0
    assert set(seen) == {64}


@pytest.mark.parametrize("found", [8, 64])
def test_the_size_that_was_found_is_taken_up_again_and_changes_no_number(tmp_path, monkeypatch, found):
    inputs, responses = toy_samples(150, 6, smooth_network(6, 2))
    options = {"points": 2, "progress": False, "batch_size": 32}
    plain = igc.attribute(smooth_network(6, 2), (inputs, responses), **options)
    searches, sizes = [], []
    whole = solving._solve_blocks
    monkeypatch.setattr(solving, "search_batch_size", lambda given: searches.append(given) or found)
    monkeypatch.setattr(
        solving, "_solve_blocks", lambda given, *rest: sizes.append(given.batch_size) or whole(given, *rest)
    )
    for _ in range(2):
        result = igc.attribute(smooth_network(6, 2), (inputs, responses), checkpoint=tmp_path, **options)
        np.testing.assert_allclose(result["attribution"], plain["attribution"], rtol=0, atol=1e-12)
    assert sizes == [found, found]
    assert len(searches) == 1
