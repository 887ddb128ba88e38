import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from igc.errors import ConfigError
from igc.stats.moments import Moments
from igc.streaming import Execution, Partials, compute_share, reduce_units
from igc.streaming.tree import aligned_tasks, reduce_node, reduce_roots

RANDOM = np.random.default_rng(0)
SCALARS, MAPS = RANDOM.normal(size=(130, 2, 2)), RANDOM.normal(size=(130, 2, 3)) * 1e3


def unit(index):
    return Moments.of(SCALARS[index * 10 : index * 10 + 10], MAPS[index * 10 : index * 10 + 10])


def bits(state):
    return {name: value.tobytes() for name, value in state.to_arrays().items()}


@settings(max_examples=50, deadline=None)
@given(n=st.integers(1, 700), level=st.integers(0, 4))
def test_every_task_size_makes_the_same_merges(n, level):
    def leaf(i):
        return f"{i}"

    def merge(a, b):
        return f"({a}{b})"

    states = [reduce_node(a, b, leaf, merge) for a, b in aligned_tasks(n, level)]
    assert reduce_roots(states, merge) == reduce_node(0, n, leaf, merge)


@settings(max_examples=50, deadline=None)
@given(n=st.integers(1, 5000))
def test_few_states_are_held_at_a_time(n):
    held, most = 0, 0

    def states():
        nonlocal held, most
        for i in range(n):
            held, most = held + 1, max(most, held + 1)
            yield i

    def merge(a, b):
        nonlocal held
        held -= 1
        return a + b

    assert reduce_roots(states(), merge) == n * (n - 1) // 2
    assert most <= 2 + np.log(n) / np.log(8)


@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
@pytest.mark.parametrize("units_per_task", [1, 8, 9, 100])
def test_bits_do_not_depend_on_executor_or_task_size(scheduler, units_per_task):
    reference = reduce_units(13, unit, Moments)
    execution = Execution(scheduler, 3)
    assert bits(reduce_units(13, unit, Moments, execution=execution, units_per_task=units_per_task)) == bits(reference)


@pytest.mark.dask
def test_a_cluster_gives_the_same_bits_as_this_process():
    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster) as client:
        spread = reduce_units(13, unit, Moments, execution=Execution("cluster", 2, client), units_per_task=8)
    assert bits(spread) == bits(reduce_units(13, unit, Moments))


def test_an_interrupted_run_goes_on_without_repeating_a_finished_task(tmp_path):
    calls = []

    def failing(index):
        calls.append(index)
        if index == 9 and len(calls) < 12:
            raise KeyboardInterrupt
        return unit(index)

    partials = Partials(tmp_path, "k" * 64)
    with pytest.raises(KeyboardInterrupt):
        reduce_units(13, failing, Moments, partials=partials, units_per_task=8)
    calls.extend([-1, -1])
    resumed = reduce_units(13, failing, Moments, partials=partials, units_per_task=8)
    assert bits(resumed) == bits(reduce_units(13, unit, Moments))
    assert calls[12:] == [8, 9, 10, 11, 12]


@pytest.mark.parametrize("damage", ["flip", "cut", "other key"])
def test_a_damaged_partial_is_computed_again(tmp_path, damage, caplog):
    partials = Partials(tmp_path, "k" * 64)
    reference = reduce_units(5, unit, Moments, partials=partials)
    file = sorted(tmp_path.rglob("*.safetensors"))[2]
    content = bytearray(file.read_bytes())
    if damage == "flip":
        content[-3] ^= 1
    elif damage == "cut":
        content = content[: len(content) // 2]
    else:
        content = content.replace(b"k" * 64, b"j" * 64)
    file.write_bytes(content)
    assert bits(reduce_units(5, unit, Moments, partials=partials)) == bits(reference)
    assert "computed again" in caplog.text


def test_partials_of_another_key_are_not_taken(tmp_path):
    reduce_units(5, unit, Moments, partials=Partials(tmp_path, "a" * 64))
    assert Partials(tmp_path, "b" * 64).load("units-00000000-00000001") is None


def test_all_hold_to_the_choice_that_was_written_first(tmp_path):
    start = threading.Barrier(8)

    def chosen(value):
        start.wait()
        return int(Partials(tmp_path, "a" * 64).agree("side", {"side": np.array([value])})["side"][0])

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(chosen, range(8)))) == 1
    assert [file.name for file in tmp_path.rglob("*.safetensors")] == ["side.safetensors"]


def test_a_file_system_without_links_keeps_a_choice_too(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(95, "links are not supported")

    monkeypatch.setattr("os.link", refuse)
    partials = Partials(tmp_path, "a" * 64)
    assert [int(partials.agree("side", {"side": np.array([value])})["side"][0]) for value in (3, 4)] == [3, 3]


def test_states_say_how_long_they_took_even_after_an_interruption(tmp_path):
    def slow(index):
        time.sleep(0.02)
        return unit(index)

    partials = Partials(tmp_path, "k" * 64)
    compute_share(6, slow, Moments, (1, 2), partials)
    half = partials.seconds()
    reduce_units(6, slow, Moments, partials=partials)
    assert 0.06 <= half < partials.seconds()
    assert partials.seconds() >= 0.12


def test_clearing_leaves_nothing_behind(tmp_path):
    partials = Partials(tmp_path / "p", "a" * 64)
    reduce_units(5, unit, Moments, partials=partials)
    partials.clear()
    assert not (tmp_path / "p").exists()


def test_clearing_removes_older_states_for_the_same_result_and_no_others(tmp_path):
    def made(key, owner):
        partials = Partials(tmp_path, key * 64, owner=owner)
        reduce_units(3, unit, Moments, partials=partials)
        return partials

    made("a", "map")
    kept = [made("b", "other map"), made("c", "")]
    made("d", "map").clear()
    assert sorted(folder.name for folder in tmp_path.iterdir()) == [key * 16 for key in "bc"]
    assert all(partials.load("units-00000000-00000001") is not None for partials in kept)
    for partials in kept:
        partials.clear()
    assert not tmp_path.exists()


def test_progress_counts_every_unit_once():
    done = []
    reduce_units(13, unit, Moments, units_per_task=8, advance=done.append)
    assert sum(done) == 13


@pytest.mark.parametrize("arguments", [("processes", 2), ("cluster", 2)])
def test_an_unusable_executor_is_refused(arguments):
    with pytest.raises(ConfigError):
        Execution(*arguments)
