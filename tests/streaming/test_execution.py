import os
import signal
import time
from collections import deque
from concurrent.futures import CancelledError
from pathlib import Path

import pytest
from distributed.comm import CommClosedError

from igc.errors import ConfigError, ExecutionError
from igc.streaming import Execution
from igc.streaming.execution import AHEAD, stream


def squared(shared, task):
    return shared + task * task


SQUARES = [100 + task * task for task in range(30)]


class Future:
    def __init__(self, log, function, arguments):
        self.log, self.function, self.arguments = log, function, arguments

    def result(self):
        self.log.append(-1)
        arguments = [x.result() if isinstance(x, Future) else x for x in self.arguments]
        return self.function(*arguments)


class Recording:
    """Stands in for a client: notes what is submitted and what is taken."""

    status = "running"

    def __init__(self):
        self.log = deque()
        self.scheduler = type("Scheduler", (), {"address": "tcp://nowhere"})

    def submit(self, function, *arguments, **_named):
        self.log.append(+1)
        return Future(self.log if function.__name__ != "_same" else deque(), function, arguments)


def test_a_cluster_is_given_only_a_few_tasks_ahead():
    client = Recording()
    assert list(stream(range(30), squared, 100, Execution("cluster", 2, client))) == SQUARES
    level, highest = 0, 0
    for step in client.log:
        level += step
        highest = max(highest, level)
    assert highest == AHEAD * 2 + 1


def broken(shared, task):
    raise shared


@pytest.mark.parametrize("error", [CommClosedError("refused"), CancelledError()])
def test_a_scheduler_that_is_gone_is_told_in_one_line_before_the_client_knows(error):
    with pytest.raises(ExecutionError, match="a lost connection") as caught:
        list(stream(range(3), broken, error, Execution("cluster", 2, Recording())))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("execution", [Execution(), Execution("threads", 3)])
def test_results_come_in_the_order_of_the_tasks(execution):
    assert list(stream(range(30), squared, 100, execution)) == SQUARES


def test_work_moves_on_when_it_is_told_to_and_nothing_is_computed_twice():
    asked, here, there = [], [], []

    def grow(seconds):
        asked.append(seconds)
        return Execution("threads", 2) if len(asked) == 3 else None

    def noted(shared, task):
        (there if len(asked) >= 3 else here).append(task)
        time.sleep(0.01)
        return squared(shared, task)

    assert list(stream(range(30), noted, 100, Execution("growing", grow=grow))) == SQUARES
    assert here == [0, 1, 2, 3]
    assert sorted(there) == list(range(4, 30))
    assert all(seconds >= 0.01 * rest for seconds, rest in zip(asked, (28, 27, 26), strict=True))


def test_the_first_task_never_decides_since_it_warms_up():
    asked = []
    execution = Execution("growing", grow=asked.append)
    assert list(stream(range(2), squared, 100, execution)) == SQUARES[:2]
    assert not asked


@pytest.mark.parametrize("arguments", [("processes", 2), ("cluster", 2), ("growing", 2)])
def test_an_unusable_execution_is_refused(arguments):
    with pytest.raises(ConfigError):
        Execution(*arguments)


# --- a real cluster -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster():
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as started,
        Client(started) as client,
    ):
        yield client


class Counted:
    """Notes in a folder every time it is read by a process."""

    def __init__(self, folder):
        self.folder, self.data = folder, bytes(1 << 20)

    def __setstate__(self, state):
        self.__dict__ = state
        (self.folder / f"{os.getpid()}-{time.monotonic_ns()}").touch()


def size_of(shared, task):
    return len(shared.data) + task


@pytest.mark.dask
def test_what_tasks_share_is_sent_to_a_worker_once(cluster, tmp_path):
    result = list(stream(range(40), size_of, Counted(tmp_path), Execution("cluster", 2, cluster)))
    assert result == [(1 << 20) + task for task in range(40)]
    pids = [file.name.split("-")[0] for file in tmp_path.iterdir()]
    # once to make it, once where it is passed on from worker to worker
    assert all(pids.count(pid) <= 2 for pid in pids)


def failing(shared, task):
    raise shared


@pytest.mark.dask
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), ValueError("wrong"), MemoryError()])
def test_the_error_of_a_task_comes_as_it_is(cluster, error):
    with pytest.raises(type(error)) as caught:
        list(stream(range(3), failing, error, Execution("cluster", 2, cluster)))
    assert caught.value.args == error.args


def dying(folder, task):
    """Kill the worker at some tasks, once each."""
    file = Path(folder) / str(task)
    if task in (0, 7, 8, 20) and not file.exists():
        file.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return 100 + task * task


@pytest.mark.dask
@pytest.mark.slow
def test_workers_that_die_are_replaced_and_nothing_is_lost(cluster, tmp_path):
    assert list(stream(range(30), dying, str(tmp_path), Execution("cluster", 2, cluster))) == SQUARES
    assert {file.name for file in tmp_path.iterdir()} == {"0", "7", "8", "20"}


def deadly(shared, task):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.dask
@pytest.mark.slow
def test_a_task_that_ends_worker_after_worker_is_told_in_one_line(cluster):
    with pytest.raises(ExecutionError, match="give each more memory") as caught:
        list(stream(range(1), deadly, None, Execution("cluster", 2, cluster)))
    assert "\n" not in str(caught.value)
