"""Worker processes of Dask: started on this machine, or of a scheduler that runs. Loaded where there are to be some."""

from __future__ import annotations

import importlib.util
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import dask
import torch
from distributed import Client, LocalCluster, Nanny, Scheduler, SpecCluster, WorkerPlugin

from igc.errors import ExecutionError, explain
from igc.steps.allocation import job_memory
from igc.steps.memory import KEPT_BYTES, LARGE_BYTES
from igc.steps.solving import code_digest
from igc.streaming import Execution

if TYPE_CHECKING:
    from distributed import Worker

__all__ = ["CLUSTER_SETTINGS", "processes", "running"]

CLOSE_SECONDS = 5
CONNECT_SECONDS = 5
ADDRESS = re.compile(r"(tcp|tls|ucx|ucxx|ws|wss)://\S+:\d+")
WORKERS_SECONDS = 30
DASHBOARD = "127.0.0.1:0"
"""Any free port of the loopback."""
WORKER_ENVIRONMENT = {
    "OMP_NUM_THREADS": 1,
    "MKL_NUM_THREADS": 1,
    "OPENBLAS_NUM_THREADS": 1,
    "MALLOC_TRIM_THRESHOLD_": KEPT_BYTES,
    "MALLOC_MMAP_THRESHOLD_": LARGE_BYTES,
}
"""In place of Dask's own, whose MALLOC_TRIM_THRESHOLD_ gives every large array back at once: a third more CPU time."""
CLUSTER_SETTINGS = {
    "distributed.nanny.pre-spawn-environ": WORKER_ENVIRONMENT,
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "2s",
    "distributed.admin.system-monitor.gil.enabled": False,
    "distributed.scheduler.active-memory-manager.start": False,
}
"""Dask watches itself so often that an idle process takes 2 to 3 % of a core; with these it takes 1 % or less."""


class _Threads(WorkerPlugin):  # type: ignore[misc]
    """Gives torch as many threads as a worker has, in workers that join or start again later too."""

    name = "igc threads"

    def setup(self, worker: Worker) -> None:
        self._before = torch.get_num_threads()
        torch.set_num_threads(worker.state.nthreads)

    def teardown(self, worker: Worker) -> None:
        torch.set_num_threads(self._before)


@contextmanager
def processes(workers: int, gpus: list[str], tell: Callable[[str], None]) -> Iterator[Execution]:
    """Start worker processes of one thread each on this machine, or one a GPU.

    Parameters
    ----------
    workers : int
        How many.
    gpus : list of str
        The GPU of each; none if empty.
    tell : callable
        Told where the dashboard is, if there is one.

    Yields
    ------
    Execution
    """
    with (
        dask.config.set(CLUSTER_SETTINGS),
        _cluster(workers, gpus) as cluster,
        Client(cluster) as client,
        _prepared(client),
    ):
        if importlib.util.find_spec("bokeh"):  # without it, which is no dependency, there is a port but no page
            _tell_dashboard(client, tell)
        yield Execution("cluster", workers, client=client)


def _cluster(workers: int, gpus: list[str]) -> Any:
    """Make a cluster that listens on this machine alone; this process keeps a share of the memory for itself."""
    options = {"nthreads": 1, "memory_limit": job_memory() // (workers + 1), "silence_logs": logging.CRITICAL}
    if not gpus:
        return LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            memory_limit=options["memory_limit"],
            dashboard_address=DASHBOARD,
            silence_logs=logging.CRITICAL,
        )
    scheduler = {"host": "127.0.0.1", "dashboard_address": DASHBOARD, "dashboard": True}
    nannies = {
        gpu: {"cls": Nanny, "options": {**options, "host": "127.0.0.1", "env": {"CUDA_VISIBLE_DEVICES": gpu}}}
        for gpu in gpus
    }
    return SpecCluster(
        workers=nannies, scheduler={"cls": Scheduler, "options": scheduler}, silence_logs=logging.CRITICAL
    )


def _tell_dashboard(client: Client, tell: Callable[[str], None]) -> None:
    if client.scheduler_info().get("services", {}).get("dashboard"):
        tell(f"workers: {client.dashboard_link}")


@contextmanager
def running(where: Any, tell: Callable[[str], None]) -> Iterator[Execution]:
    """Use a cluster that runs.

    Parameters
    ----------
    where : distributed.Client or str
        A client, or the address of a scheduler.
    tell : callable
        Told where the dashboard is, if there is one.

    Yields
    ------
    Execution

    Raises
    ------
    ExecutionError
        If no scheduler or no worker is there, or workers run other code.
    """
    with ExitStack() as stack:
        client = where if isinstance(where, Client) else stack.enter_context(_connected(str(where)))
        name = client.scheduler.address
        try:
            client.wait_for_workers(1, timeout=WORKERS_SECONDS)
        except TimeoutError as error:
            remedy = "start some with `dask worker`"
            raise ExecutionError(explain(name, "a scheduler without workers", "at least one", remedy)) from error
        _check_code(client, name)
        stack.enter_context(_prepared(client))
        _tell_dashboard(client, tell)
        yield Execution("cluster", sum(client.nthreads().values()), client=client)


@contextmanager
def _connected(address: str) -> Iterator[Client]:
    allowed = "the address of a running Dask scheduler, such as tcp://127.0.0.1:8786"
    message = explain("scheduler", repr(address), allowed, "correct it, or start one")
    if not ADDRESS.fullmatch(address):
        raise ExecutionError(message)
    try:
        client = Client(address, timeout=CONNECT_SECONDS)
    except OSError as error:
        raise ExecutionError(message) from error
    except TypeError as error:  # of tls without a certificate
        remedy = "set ca-file, client.cert and client.key of distributed.comm.tls in Dask's configuration"
        raise ExecutionError(explain(repr(address), "no certificate", f"{allowed}, with TLS set up", remedy)) from error
    try:
        yield client
    except BaseException:
        # of a scheduler that has gone nothing can be closed properly, and the first error is the one to tell
        with suppress(Exception):
            client.close(timeout=CLOSE_SECONDS)
        raise
    client.close()


def _check_code(client: Client, name: str) -> None:
    """Refuse workers that would compute something else."""
    try:
        digests = set(client.run(code_digest).values())
    except ImportError as error:
        digests, reason = {""}, str(error)
    else:
        reason = "another version of igc"
    if digests != {code_digest()}:
        remedy = "install the same version where workers run, and start them anew"
        raise ExecutionError(explain(name, f"workers with {reason}", "the code that runs here", remedy))


@contextmanager
def _prepared(client: Client) -> Iterator[None]:
    """Set the threads of the workers for as long as they are used."""
    client.register_plugin(_Threads())
    try:
        yield
    finally:
        # of a scheduler that has gone, which the client may not know yet, there is nothing to undo
        with suppress(OSError):
            if client.status == "running":
                client.unregister_worker_plugin(_Threads.name)
