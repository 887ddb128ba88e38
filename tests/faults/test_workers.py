"""Workers and schedulers that die, or were never there: the same bits, or one line that says what to do."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from distributed import Client, LocalCluster
from distributed.comm import CommClosedError
from torch import Tensor, nn

import igc
from igc.errors import ExecutionError
from igc.steps.cluster import _prepared
from igc.streaming.partials import Partials
from igc.testing.probes import smooth_network, toy_samples
from tests.faults import studies
from tests.faults.test_interruptions import ENVIRONMENT, attribute, check_one_line, content, values

pytestmark = [pytest.mark.slow, pytest.mark.dask]

TRUTH = smooth_network(6, 2, seed=1)
INPUTS, RESPONSES = toy_samples(200, 6, TRUTH, seed=0)


class Slow(nn.Module):
    """A network that takes its time, to be killed in the midst of its work."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.network, self.seconds = smooth_network(6, 2, seed=2), seconds

    def forward(self, inputs: Tensor) -> Tensor:
        time.sleep(self.seconds)
        return self.network(inputs)


def explained(client: Any, checkpoint: Path | None = None, seconds: float = 0.05) -> xr.Dataset:
    samples, options = (INPUTS, RESPONSES), {"block_size": 100, "permutations": 0}
    return igc.attribute(
        Slow(seconds), samples, points=2, client=client, checkpoint=checkpoint, progress=False, **options
    )


@pytest.fixture(scope="module")
def unbroken() -> xr.Dataset:
    return explained(1, seconds=0)


def same_bits(one: xr.Dataset, other: xr.Dataset) -> None:
    for name in ("attribution", "standard_error", "estimator_error", "score"):
        np.testing.assert_array_equal(one[name], other[name])


@contextmanager
def killing(pids: Callable[[], list[int]], folder: Path, count: int) -> Iterator[None]:
    """Kill processes as soon as so many partial states lie in a folder."""

    def watch() -> None:
        while not over.wait(0.01):
            if len(list(folder.rglob("units-*.safetensors"))) >= count:
                for pid in pids():
                    os.kill(pid, signal.SIGKILL)
                return

    over = threading.Event()
    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def start(stack: ExitStack, *arguments: str) -> subprocess.Popen[bytes]:
    """Start a part of a cluster as a process of its own, which ends with a stack."""
    command = [sys.executable, "-m", "dask", *arguments, "--no-dashboard"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = stack.enter_context(subprocess.Popen(command, env=ENVIRONMENT, **quiet))  # type: ignore[call-overload]
    stack.callback(process.kill)
    return process


def start_worker(stack: ExitStack, address: str, folder: Path) -> subprocess.Popen[bytes]:
    return start(stack, "worker", address, "--nthreads", "1", "--no-nanny", "--local-directory", str(folder))


@contextmanager
def running_cluster(folder: Path, workers: int) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Start a scheduler, with a worker or none."""
    with ExitStack() as stack:
        port = free_port()
        address = f"tcp://127.0.0.1:{port}"
        scheduler = start(stack, "scheduler", "--host", "127.0.0.1", "--port", str(port))
        for _ in range(workers):
            start_worker(stack, address, folder)
        end = time.monotonic() + 30
        while socket.socket().connect_ex(("127.0.0.1", port)):
            assert time.monotonic() < end
            time.sleep(0.05)
        yield address, scheduler


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])


def test_a_worker_that_is_killed_changes_no_bit(unbroken: xr.Dataset, tmp_path: Path) -> None:
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50) as cluster,
        Client(cluster) as client,
    ):
        before = list(client.run(os.getpid).values())
        with killing(lambda: before[:1], tmp_path, 6):
            result = explained(client, tmp_path)
        after = list(client.run(os.getpid).values())
    assert before[0] not in after
    same_bits(result, unbroken)


def test_a_worker_that_is_taken_away_and_one_that_comes_later_change_no_bit(
    unbroken: xr.Dataset, tmp_path: Path
) -> None:
    with running_cluster(tmp_path, 0) as (address, _), ExitStack() as stack:
        taken = start_worker(stack, address, tmp_path)

        def preempt() -> list[int]:
            """Do to a worker, a job of its own, what SLURM does for a job of more right; later it starts again."""
            taken.terminate()
            taken.wait()
            start_worker(stack, address, tmp_path)
            return []

        with killing(preempt, tmp_path / "kept", 6):
            result = explained(address, tmp_path / "kept")
        assert taken.poll() is not None
    same_bits(result, unbroken)


def test_a_scheduler_that_is_killed_is_one_error_and_the_rest_is_done_later(
    unbroken: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "kept"
    with running_cluster(tmp_path, 1) as (address, scheduler), killing(lambda: [scheduler.pid], kept, 6):
        started = time.monotonic()
        with pytest.raises(ExecutionError, match="with a checkpoint it goes on") as caught:
            explained(address, kept)
        assert time.monotonic() - started < 30
    assert "\n" not in str(caught.value)
    finished = {file.relative_to(kept) for file in kept.rglob("units-*.safetensors")}
    assert len(finished) >= 6
    saved: list[Path] = []
    save = Partials.save

    def watched(self: Partials, name: str, arrays: Any, *seconds: float) -> None:
        saved.append(self._file(name).relative_to(kept))
        save(self, name, arrays, *seconds)

    monkeypatch.setattr(Partials, "save", watched)
    same_bits(explained(1, kept, seconds=0.0501), unbroken)
    assert not set(saved) & finished


class Unaware:
    """A client that does not know yet that its scheduler is gone."""

    status = "running"

    def register_plugin(self, plugin: object) -> None:
        """Take a plugin, as when all was well."""

    def unregister_worker_plugin(self, name: str) -> None:
        raise CommClosedError("refused")


def test_the_first_error_is_told_when_a_scheduler_is_gone_before_the_client_knows() -> None:
    with pytest.raises(ExecutionError, match="first"), _prepared(Unaware()):
        raise ExecutionError("first")


def test_a_scheduler_that_is_not_there_is_told_in_one_line(study: Path, tmp_path: Path) -> None:
    before, started = content(tmp_path), time.monotonic()
    arguments = attribute(study, tmp_path / "igc.zarr", tmp_path / "partials")
    result = studies.igc(*arguments, "--scheduler", f"tcp://127.0.0.1:{free_port()}")
    assert result.exit_code == 2, result.output
    check_one_line(result.stderr, "the address of a running Dask scheduler")
    assert time.monotonic() - started < 10
    assert content(tmp_path) == before


@pytest.mark.parametrize("address", ["nonsense", "tcp://", "smtp://127.0.0.1:1"])
def test_what_is_no_address_is_told_in_one_line(address: str) -> None:
    with pytest.raises(ExecutionError, match="the address of a running Dask scheduler") as caught:
        explained(address)
    assert "\n" not in str(caught.value)


def test_a_scheduler_without_workers_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("igc.steps.cluster.WORKERS_SECONDS", 1)
    with running_cluster(tmp_path, 0) as (address, _), pytest.raises(ExecutionError, match="start some with"):
        explained(address)


def test_workers_that_run_other_code_are_refused_and_two_commands_may_share_a_scheduler(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_cluster(tmp_path, 1) as (address, _):
        arguments = attribute(study, tmp_path / "igc.zarr", tmp_path / "partials")
        studies.done(*arguments, "--scheduler", address)
        one, other = (values(place) for place in (tmp_path / "igc.zarr", study / "maps" / "igc.zarr"))
        assert one == other
        monkeypatch.setattr("igc.steps.cluster.code_digest", lambda: str(os.getpid()))
        with pytest.raises(ExecutionError, match="another version of igc"):
            explained(address)
