"""Nothing about how the work is cut changes a result: chunks, design blocks, batches, order of merging, threads."""

from __future__ import annotations

from contextlib import contextmanager
from functools import cache

import dask.array
import numpy as np
import pytest
import torch
from distributed import Client, LocalCluster
from hypothesis import given, settings
from hypothesis import strategies as st

import igc
from igc.testing.probes import smooth_network, toy_samples

MODEL = smooth_network(5, 3, seed=2)
NAMES = ("attribution", "estimator_error", "standard_error", "score", "completeness_error")
METHODS = ("igc", "igac", "bsc", "expected_gradients", "integrated_gradients", "naive_correlation")
quickly = settings(max_examples=5, deadline=None)
sizes = st.sampled_from([21, 37, 64])


def samples(n):
    return toy_samples(n, 5, MODEL, seed=n)


def run(method, given_samples, model=MODEL, **options):
    return igc.attribute(model, given_samples, method, points=3, progress=False, **{"seed": 4, **options})


def same(first, second, tolerance):
    """Require equal variables, to a tolerance relative to the largest value of each."""
    for name in NAMES:
        if name not in first:
            continue
        size = float(np.nan_to_num(np.abs(first[name])).max())
        if name == "completeness_error":  # a gap is a difference of two sums as large as a score
            size = 1.0
        np.testing.assert_allclose(second[name], first[name], rtol=0, atol=tolerance * size, err_msg=name)


def chunked(arrays, size):
    """Return the arrays as lazy ones; the last chunk is ragged where the size does not divide the length."""
    return tuple(dask.array.from_array(a, chunks=(size, *a.shape[1:])) for a in arrays)


@cache
def reference(method, n, block):
    """One chunk, one batch, one thread."""
    return run(method, chunked(samples(n), n), block_size=block)


@contextmanager
def threads(number):
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("method", METHODS)
@quickly
@given(n=sizes, size=st.integers(1, 64), batch=st.integers(1, 70), number=st.sampled_from([1, 2]))
def test_chunks_batches_and_threads_do_not_matter_in_double_precision(method, n, size, batch, number):
    with threads(number):
        other = run(method, chunked(samples(n), min(size, n)), block_size=32, batch_size=batch)
    same(reference(method, n, 32), other, 1e-10)


@pytest.mark.parametrize("method", ["bsc", "expected_gradients", "integrated_gradients", "naive_correlation", "igc"])
@quickly
@given(n=sizes, block=st.integers(1, 70))
def test_design_blocks_do_not_matter_where_they_do_not_make_the_pairs(method, n, block):
    options = {"baselines": "zero"} if method == "igc" else {}
    same(run(method, samples(n), **options), run(method, samples(n), block_size=block, **options), 1e-10)


@quickly
@given(n=sizes, size=st.integers(1, 64), batch=st.integers(3, 70))
def test_single_precision_keeps_its_bits_on_one_grid_and_five_digits_on_another(n, size, batch):
    single = smooth_network(5, 3, seed=2).float()
    arrays = tuple(a.astype(np.float32) for a in samples(n))
    first = run("igc", chunked(arrays, n), single, block_size=32, batch_size=16)
    again = run("igc", chunked(arrays, min(size, n)), single, block_size=32, batch_size=16)
    for name in NAMES:
        np.testing.assert_array_equal(again[name], first[name], err_msg=name)
    other = run("igc", chunked(arrays, n), single, block_size=32, batch_size=batch)
    np.testing.assert_allclose(other["attribution"], first["attribution"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("method", ["igc", "bsc", "integrated_gradients"])
@quickly
@given(order=st.randoms(use_true_random=False))
def test_states_may_be_merged_in_any_order(method, order):
    def in_any_order(states, merge):
        rest = list(states)
        order.shuffle(rest)
        while len(rest) > 1:  # any two neighbours, so that the tree is any tree, too
            i = order.randrange(len(rest) - 1)
            rest[i : i + 2] = [merge(rest[i], rest[i + 1])]
        return rest[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("igc.streaming.reduction.reduce_roots", in_any_order)
        other = run(method, chunked(samples(64), 64), block_size=20)
    same(reference(method, 64, 20), other, 1e-10)


@pytest.mark.parametrize("workers", [1, 3])
def test_any_number_of_workers_gives_the_same_bits(workers):
    here = run("igc", samples(64), block_size=20)
    with (
        LocalCluster(n_workers=workers, threads_per_worker=1, processes=False, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        there = run("igc", samples(64), block_size=20, client=client)
    for name in NAMES:
        np.testing.assert_array_equal(there[name], here[name], err_msg=name)
