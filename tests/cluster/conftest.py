"""A cluster to test on: the SLURM that is there, or one that a program starts; nothing here is part of the fast tests.

``make test-cluster`` uses the SLURM whose ``sinfo`` answers. ``make test-cluster SLURM_UP=program`` first calls
``program start``, and ``program stop`` at the end.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.workflow.snakes import ROOT

collect_ignore_glob = [] if os.environ.get("IGC_TEST_CLUSTER") else ["test_*.py"]

SITE = """
# a site without accounts of jobs, whose scheduler is asked often because its jobs are short
slurm-no-account: true
slurm-status-command: squeue
slurm-init-seconds-before-status-checks: 2
seconds-between-status-checks: 2
latency-wait: 10
"""
PATIENCE = 1500


def answers() -> bool:
    return (
        shutil.which("sinfo") is not None and not subprocess.run(["sinfo"], capture_output=True, check=False).returncode
    )


@pytest.fixture(scope="session")
def slurm() -> Iterator[None]:
    """Start a cluster if a program for it is named, and end it."""
    program = os.environ.get("SLURM_UP", "")
    started = bool(program) and not answers()
    if started:
        # nproc, by which a node may count its cores, heeds the number of threads
        told = {name: value for name, value in os.environ.items() if not name.startswith("OMP_")}
        subprocess.run([program, "start"], check=True, capture_output=True, env=told)
    assert answers(), "no SLURM answers: name a program that starts one, make test-cluster SLURM_UP=<program>"
    yield
    if started:
        subprocess.run([program, "stop"], check=True, capture_output=True)


Job = dict[str, str]


def node_daemon() -> psutil.Process | None:
    """Return the daemon of SLURM on this machine, as on a node that runs jobs."""
    return next((process for process in psutil.process_iter() if process.name() == "slurmd"), None)


def lose_node(job: Job) -> None:
    """Kill the daemon of this node, with all processes of a job and who watches over them; then bring it back."""
    daemon, mark = node_daemon(), f"slurmstepd: [{job['JobId']}."
    assert daemon is not None
    command, node = daemon.cmdline(), job["NodeList"]
    stepd = [found for found in psutil.process_iter() if " ".join(found.cmdline()).startswith(mark)]
    assert stepd
    for process in [daemon, *(child for one in stepd for child in [one, *one.children(recursive=True)])]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    # the controller would find that out by itself, after minutes
    subprocess.run(["scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=lost"], check=True)
    until(lambda: not daemon.is_running())
    subprocess.run(command, check=True, capture_output=True)
    subprocess.run(["scontrol", "update", f"NodeName={node}", "State=RESUME"], check=True)


class Watched:
    """What SLURM says of the jobs of a run, asked every second because it soon forgets those that have ended."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seen: dict[str, Job] = {}
        self._before: set[str] = set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Watched:
        self.ask()
        self._before = set(self.seen)  # of runs before, which SLURM remembers for some minutes
        self.seen.clear()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ask()
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(1):
            self.ask()

    def ask(self) -> None:
        """Note the present state of every job of the folder."""
        text = subprocess.run(["scontrol", "-o", "show", "job"], capture_output=True, text=True, check=False).stdout
        for line in text.splitlines():
            job = dict(re.findall(r"(\w+)=(\S*)", line))
            if job.get("WorkDir") == str(self.folder) and job["JobId"] not in self._before:
                self.seen[job["JobId"]] = job

    def jobs(self, words: str) -> list[Job]:
        """Return the jobs whose comment, rule and wildcards, begins with some words, in the order of submission."""
        named = [job for job in self.seen.values() if job.get("Comment", "").startswith(words)]
        return sorted(named, key=lambda job: int(job["JobId"]))


class Site:
    """A copy of the checkout, and a folder in which runs are started as on a login node."""

    def __init__(self, folder: Path) -> None:
        self.checkout, self.folder, self.profile = folder / "checkout", folder / "run", folder / "site"
        for made in (self.checkout, self.folder, self.profile):
            made.mkdir()
        for name in ("igc", "workflow", "envs"):
            shutil.copytree(ROOT / name, self.checkout / name, ignore=shutil.ignore_patterns("__pycache__", "samples"))
        shutil.copy(ROOT / "Snakefile", self.checkout)
        (self.profile / "config.yaml").write_text(SITE, encoding="utf-8")

    def start(self, *arguments: str | Path, log: str = "run.log", **environment: str) -> subprocess.Popen[bytes]:
        """Start Snakemake with the profile of the project and that of the site."""
        profiles = ["--workflow-profile", self.checkout / "workflow" / "profiles" / "slurm", "--profile", self.profile]
        command = [sys.executable, "-m", "snakemake", "--snakefile", self.checkout / "Snakefile", *profiles]
        faults = Path(__file__).parent / "faults"
        told = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(faults), **environment}
        with (self.folder.parent / log).open("wb") as opened:
            return subprocess.Popen(
                [str(word) for word in [*command, *arguments]], cwd=self.folder, env=told, stdout=opened, stderr=opened
            )

    def ended(self, process: subprocess.Popen[bytes], log: str = "run.log") -> tuple[int, str]:
        """Wait for a run; return its exit status and what it said."""
        return process.wait(PATIENCE), (self.folder.parent / log).read_text(encoding="utf-8", errors="replace")


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("cluster"))


def until(happened: Callable[[], bool], seconds: float = 300) -> None:
    """Wait until something has happened."""
    last = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < last, "nothing happened"
        time.sleep(0.3)
