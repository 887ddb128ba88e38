"""What a run leaves that was killed, as `igc status` and the next run find it; and files from a clock that is ahead."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from igc.steps.status import PATIENCE, read_status
from tests.workflow.conftest import copy_checkout
from tests.workflow.snakes import ROOT, snakemake

pytestmark = [pytest.mark.workflow, pytest.mark.heavy]

TARGET = "results/tiny/rois.zarr/zarr.json"
# before the stub does its work, it may wait or be killed
TROUBLE = """
import os, pathlib, signal, sys, time
if sys.argv[1] == "rois" and pathlib.Path("trouble").exists():
    kind = pathlib.Path("trouble").read_text()
    pathlib.Path("began").touch()
    if kind == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = copy_checkout(tmp_path)
    stub = (ROOT / "tests" / "workflow" / "stub.py").read_text(encoding="utf-8")
    (made / "igc" / "__main__.py").write_text(stub.replace("\n\nPIXEL", f"\n{TROUBLE}\nPIXEL", 1), encoding="utf-8")
    return made


def states(folder: Path, later: float = 0.0) -> dict[str, str]:
    return {job.rule: job.state for job in read_status(folder / "results", time.time() + later).jobs}


def test_a_job_that_is_killed_is_told_and_the_next_run_goes_on(folder: Path) -> None:
    (folder / "trouble").write_text("killed")
    snakemake("--cores", "1", TARGET, folder=folder, ok=False)
    found = read_status(folder / "results")
    assert states(folder) == {"preprocess": "done", "rois": "failed"}
    assert "killed, perhaps for want of memory" in next(job.why for job in found.jobs if job.rule == "rois")
    assert (found.latest.done, found.latest.planned, found.locked, found.well) == (1, 2, False, False)
    (folder / "trouble").unlink()
    snakemake("--cores", "1", TARGET, folder=folder)
    assert states(folder) == {"preprocess": "done", "rois": "done"}


def test_a_run_that_is_killed_leaves_a_lock_of_which_status_and_the_next_run_say_what_to_do(folder: Path) -> None:
    (folder / "trouble").write_text("waits")
    command = [sys.executable, "-m", "snakemake", "--cores", "1", TARGET]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, cwd=folder, start_new_session=True, **quiet) as process:  # type: ignore[call-overload]
        end = time.monotonic() + 60
        while not (folder / "began").exists():
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.02)
        assert states(folder) == {"preprocess": "done", "rois": "running"}
        os.killpg(process.pid, signal.SIGKILL)
    later = read_status(folder / "results", time.time() + PATIENCE + 60)
    assert states(folder, PATIENCE + 60) == {"preprocess": "done", "rois": "stopped"}
    assert later.abandoned
    told = snakemake("--cores", "1", TARGET, folder=folder, ok=False)
    assert "--unlock" in told
    (folder / "trouble").unlink()
    snakemake("--unlock", folder=folder)
    snakemake("--cores", "1", TARGET, folder=folder)
    assert states(folder) == {"preprocess": "done", "rois": "done"}
    assert not read_status(folder / "results").locked


def test_an_input_from_a_clock_that_is_ahead_ends_in_a_clear_error_and_touching_it_in_the_result(folder: Path) -> None:
    snakemake("--cores", "1", TARGET, folder=folder)
    before = (folder / TARGET).read_bytes()
    (folder / TARGET).unlink()
    samples = folder / "results" / "tiny" / "samples.zarr" / "zarr.json"
    ahead = time.time() + 3600
    os.utime(samples, (ahead, ahead))
    told = snakemake("--cores", "1", TARGET, folder=folder, ok=False)
    assert "clock skew" in told
    assert "results/tiny/samples.zarr/zarr.json" in told
    assert not (folder / TARGET).exists()
    os.utime(samples)
    snakemake("--cores", "1", TARGET, folder=folder)
    assert (folder / TARGET).read_bytes() == before
