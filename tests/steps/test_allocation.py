"""What a job was given: its memory, its GPUs, and the workers that are started from them."""

import importlib.util
import operator
import os
import tempfile
import time
from urllib.request import urlopen

import pytest
import torch

from igc.steps.allocation import MEMORY_VARIABLE, job_memory, visible_gpus
from igc.steps.execution import open_execution
from igc.steps.progress import Reporter

GIGABYTE = 1 << 30


@pytest.fixture(autouse=True)
def outside_of_any_job(monkeypatch):
    for name in (MEMORY_VARIABLE, "SLURM_MEM_PER_NODE", "SLURM_MEM_PER_CPU", "SLURM_CPUS_ON_NODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("distributed.system.MEMORY_LIMIT", 64 * GIGABYTE)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({}, 64),
        ({MEMORY_VARIABLE: "8192"}, 8),
        ({"SLURM_MEM_PER_NODE": "4096"}, 4),
        ({"SLURM_MEM_PER_NODE": "0"}, 64),  # all there is
        ({"SLURM_MEM_PER_NODE": "999999999"}, 64),
        ({"SLURM_MEM_PER_CPU": "1024", "SLURM_CPUS_ON_NODE": "3"}, 3),
        ({MEMORY_VARIABLE: "2048", "SLURM_MEM_PER_NODE": "4096"}, 2),
        ({MEMORY_VARIABLE: "much"}, 64),
    ],
)
def test_a_job_knows_its_memory(monkeypatch, told, expected):
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    assert job_memory() == expected * GIGABYTE


@pytest.mark.parametrize(
    ("variable", "count", "expected"),
    [
        (None, 2, ["0", "1"]),
        ("3,5", 2, ["3", "5"]),
        ("GPU-1a2b", 1, ["GPU-1a2b"]),
        (None, 0, []),
        ("", 0, []),
        ("-1", 0, []),
    ],
)
def test_a_process_knows_its_gpus(monkeypatch, variable, count, expected):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if variable is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", variable)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    assert visible_gpus() == expected


@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_one_gpu_is_used_by_one_process(monkeypatch, device):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1 if device == "cuda" else 2)
    with open_execution(4, torch.device(device)) as execution:
        assert execution.scheduler == "synchronous"


@pytest.mark.dask
def test_every_worker_has_a_gpu_of_its_own_and_its_part_of_the_memory(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    monkeypatch.setenv(MEMORY_VARIABLE, "6144")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    lines: list[str] = []
    with open_execution(4, torch.device("cuda"), lines.append) as execution:
        assert execution.workers == 2
        seen = execution.client.run(lambda: (os.environ["CUDA_VISIBLE_DEVICES"], torch.get_num_threads()))
        assert sorted(seen.values()) == [("3", 1), ("5", 1)]
        assert all(address.startswith("tcp://127.0.0.1:") for address in seen)
        limits = execution.client.run(lambda dask_worker: dask_worker.memory_manager.memory_limit)
        assert set(limits.values()) == {2 * GIGABYTE}
    assert len(lines) == bool(importlib.util.find_spec("bokeh"))


@pytest.mark.dask
def test_workers_on_cores_share_the_memory_of_the_job_and_take_one_thread_each(monkeypatch):
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "3072")
    with open_execution(2, torch.device("cpu")) as execution:
        limits = execution.client.run(lambda dask_worker: dask_worker.memory_manager.memory_limit)
        assert list(limits.values()) == [GIGABYTE, GIGABYTE]
        threads = execution.client.run(lambda: (torch.get_num_threads(), os.environ["OMP_NUM_THREADS"]))
        assert set(threads.values()) == {(1, "1")}
        assert sum(execution.client.nthreads().values()) == 2


@pytest.mark.dask
def test_what_does_not_fit_into_the_memory_of_the_job_goes_to_its_temporary_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "3072")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    with open_execution(2, torch.device("cpu")) as execution:
        client = execution.client
        held = [client.submit(operator.mul, b"x", 100 << 20, pure=False) for _ in range(10)]
        deadline = time.monotonic() + 30
        while not any(written := client.run(lambda dask_worker: list(dask_worker.data.disk)).values()):
            assert time.monotonic() < deadline, written
            time.sleep(0.1)
        assert sum(file.stat().st_size for file in tmp_path.rglob("*") if "storage" in file.parts) > 0
        assert all(len(future.result()) == 100 << 20 for future in held[:3])


@pytest.mark.dask
def test_the_log_of_a_job_links_a_page_of_its_workers_that_answers(capfd):
    pytest.importorskip("bokeh", reason="the page needs the extra `cluster`")
    with Reporter(True, "cnn igc") as reporter, open_execution(2, torch.device("cpu"), reporter.say):
        link = capfd.readouterr().err.strip().partition("cnn igc: workers: ")[2]
        assert link.startswith("http://127.0.0.1:")
        with urlopen(link) as answer:
            assert b"<title>Dask" in answer.read()
