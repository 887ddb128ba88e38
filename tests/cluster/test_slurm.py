"""The workflow on a real SLURM: all rules, GPUs, retries, cancelled jobs, runs side by side, maps in shares."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from datetime import datetime
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import yaml

import igc
from igc.config import MethodSettings
from igc.steps.attribute import attribute_files
from tests.cluster.conftest import Job, Site, Watched, lose_node, node_daemon, until

pytestmark = [pytest.mark.timeout(3600), pytest.mark.usefixtures("slurm")]

STUDY = Path(__file__).with_name("study.yaml")
# a node may have few cores
THREADS = ("--set-threads", "train=1", "attribute=2", "attribute_share=1")
ON_GPU = ("rule_attribute", "rule_yardsticks", "rule_train_wildcards_small_network")


class Run:
    def __init__(self, site: Site, watched: Watched, status: int, said: str) -> None:
        self.site, self.watched, self.status, self.said = site, watched, status, said
        self.results = site.folder / "results"


@pytest.fixture(scope="module")
def run(site: Site, slurm: None) -> Run:
    """Run the small study; one training is killed at its first attempt."""
    with Watched(site.folder) as watched:
        faults = {"IGC_TEST_KILL": "models/ridge-seed0", "IGC_TEST_MARK": str(site.folder.parent / "killed")}
        process = site.start("--configfile", STUDY, "--config", "gpu_request=gres", *THREADS, **faults)
        status, said = site.ended(process)
    return Run(site, watched, status, said)


def asks_for_gpu(job: Job) -> bool:
    return any("gpu" in job.get(key, "") for key in ("TresPerNode", "TresPerJob", "TresPerTask"))


def same_bits(store: Path, run: Run, method: str, **settings: object) -> None:
    """Compare a map with that of one unbroken process, from the same samples and model."""
    results = run.results / "small"
    alone = run.site.folder.parent / f"{store.stem}_alone.zarr"
    block = MethodSettings.model_validate({"method": method, "examples": 6, **settings})
    places = (results / "samples.zarr", results / "models" / "network-seed0")
    attribute_files(*places, block, results / "rois.zarr", alone, seed=5, workers=1, progress=False)
    first, second = igc.open_result(store).load(), igc.open_result(alone).load()
    assert set(first.variables) == set(second.variables)
    for name in first.data_vars:
        np.testing.assert_array_equal(first[name].values, second[name].values)


def test_all_rules_complete(run: Run) -> None:
    assert run.status == 0, run.said[-3000:]
    for file in ("summary.tsv", "explorer.html", "small/figures/maps_igc.png", "small/yardsticks", "small/rois"):
        assert (run.results / file).exists()
    comments = {job["Comment"].split("_wildcards")[0] for job in run.watched.seen.values()}
    rules = "preprocess rois train attribute attribute_share aggregate yardsticks compare summarize report explore"
    assert comments >= {f"rule_{rule}" for rule in rules.split()}


def test_rules_that_gain_from_a_gpu_get_one_and_no_others(run: Run) -> None:
    jobs = list(run.watched.seen.values())
    for job in jobs:
        assert asks_for_gpu(job) == job["Comment"].startswith(ON_GPU), job
    # there is one GPU on the node, so no two of these jobs ran at the same time
    times = [
        tuple(datetime.fromisoformat(job[key]) for key in ("StartTime", "EndTime")) for job in jobs if asks_for_gpu(job)
    ]
    assert len(times) >= 6
    if subprocess.run(["sinfo", "-h", "-N", "-o", "%G"], capture_output=True, text=True).stdout.split() == ["gpu:1"]:
        assert all(first[1] <= second[0] or second[1] <= first[0] for first, second in combinations(times, 2))


def test_a_killed_job_is_tried_again_with_more_memory_and_time(run: Run) -> None:
    first, second = run.watched.jobs("rule_train_wildcards_small_ridge")
    assert (first["JobState"], second["JobState"]) == ("FAILED", "COMPLETED")
    memory = [int(job["MinMemoryNode"].rstrip("M")) for job in (first, second)]
    assert memory[1] == 2 * memory[0]
    assert (first["TimeLimit"], second["TimeLimit"]) == ("02:00:00", "04:00:00")


def test_slurm_keeps_its_log_of_a_failed_job_with_the_results(run: Run) -> None:
    kept = sorted((run.results / "logs" / "slurm").rglob("*.log"))
    assert [file.parent.name for file in kept] == ["small_ridge_0"]
    assert (run.results / "small" / "logs" / "attribute" / "network-seed0" / "igc.share2of3.log").is_file()


def test_a_map_in_three_jobs_has_the_bits_of_one_process(run: Run) -> None:
    shares = run.watched.jobs("rule_attribute_share")
    assert len(shares) == 3
    store = run.results / "small" / "attributions" / "network-seed0" / "igc.zarr"
    same_bits(store, run, "igc", points=4, options={"side": "outputs"})
    assert not list((run.site.folder / "resources" / "partials" / "small" / "attributions").rglob("*.safetensors"))


def with_method(run: Run, name: str, block: dict[str, object]) -> Path:
    """Write the study with one more method; return the configuration."""
    config = yaml.safe_load(STUDY.read_text(encoding="utf-8"))
    config["studies"]["small"]["methods"][name] = {"models": ["network"], **block}
    file = run.site.folder.parent / f"{name}.yaml"
    file.write_text(yaml.safe_dump(config), encoding="utf-8")
    return file


SLOW = {"method": "igc", "points": 16, "options": {"side": "outputs"}}


class Interrupted:
    """A map whose saving of states is slow, so that its job can be stopped in its midst."""

    def __init__(self, run: Run, name: str, watched: Watched) -> None:
        self.run, self.name, self.watched = run, name, watched
        self.store = f"results/small/attributions/network-seed0/{name}.zarr"
        self.states = run.site.folder / "resources" / "partials" / self.store.removeprefix("results/")[:-5]
        self.arguments = [f"{self.store}/zarr.json", "--configfile", with_method(run, name, SLOW)]
        self.arguments += ["--config", "gpu_request=count", *THREADS]
        self.process = run.site.start(*self.arguments, log=f"{name}.log", IGC_TEST_SLOW=f"{name}.zarr")
        self.kept: dict[Path, tuple[int, int]] = {}
        until(lambda: self.jobs() != [])

    def jobs(self) -> list[Job]:
        return self.watched.jobs(f"rule_attribute_wildcards_small_network_0_{self.name}")

    def finished(self) -> dict[Path, tuple[int, int]]:
        """Return which states were kept, and what a file that is written again does not have in common with them."""
        found = [(file, file.stat()) for file in self.states.rglob("units-*.safetensors")]
        return {file: (stat.st_ino, stat.st_mtime_ns) for file, stat in found}

    def stop(self, how: Callable[[Job], None]) -> None:
        """Stop the job when it has some states."""
        until(lambda: len(self.finished()) >= 4)
        (job,) = self.jobs()
        how(job)
        until(lambda: self.watched.seen[job["JobId"]]["JobState"] != "RUNNING")
        self.kept = self.finished()

    def goes_on(self) -> None:
        """Wait for further states, and see that those which were there are not computed again."""
        until(lambda: len(self.finished()) > len(self.kept))
        assert self.kept.items() <= self.finished().items()

    def ends_well(self) -> None:
        status, said = self.run.site.ended(self.process, f"{self.name}.log")
        assert status == 0, said[-3000:]

    def has_the_bits_of_one_process(self) -> None:
        same_bits(self.run.site.folder / self.store, self.run, **SLOW)  # type: ignore[arg-type]


def cancel(job: Job) -> None:
    subprocess.run(["scancel", job["JobId"]], check=True)


def preempt(job: Job) -> None:
    """Do what SLURM does for a job of more right, where PreemptMode is REQUEUE."""
    subprocess.run(["scontrol", "requeue", job["JobId"]], check=True)


def test_a_cancelled_map_goes_on_from_its_states_and_a_second_run_is_refused(run: Run) -> None:
    with Watched(run.site.folder) as watched:
        slow = Interrupted(run, "slow", watched)
        refused = run.site.start(*slow.arguments, log="second.log")
        slow.stop(cancel)
        slow.goes_on()
        status, said = run.site.ended(refused, "second.log")
        assert status != 0
        assert said.count("LockException") == 1, said
        slow.ends_well()
    first, second = slow.jobs()
    assert (first["JobState"], second["JobState"]) == ("CANCELLED", "COMPLETED")
    assert asks_for_gpu(first)
    assert asks_for_gpu(second)
    assert int(second["MinMemoryNode"].rstrip("M")) == 2 * int(first["MinMemoryNode"].rstrip("M"))
    slow.has_the_bits_of_one_process()


@pytest.mark.parametrize("how", [preempt, lose_node])
def test_a_map_whose_node_is_taken_or_lost_is_started_again_by_slurm_and_goes_on(
    run: Run, how: Callable[[Job], None]
) -> None:
    if how is lose_node and (os.geteuid() != 0 or not node_daemon()):
        pytest.skip("only root can stop the daemon of a node, and only on that node")
    with Watched(run.site.folder) as watched:
        slow = Interrupted(run, how.__name__, watched)
        slow.stop(how)
        (job,) = slow.jobs()
        # SLURM waits two minutes before it starts such a job again
        subprocess.run(["scontrol", "update", f"JobId={job['JobId']}", "StartTime=now"], check=True)
        slow.goes_on()
        slow.ends_well()
    (job,) = slow.jobs()
    assert (job["JobState"], job["Restarts"]) == ("COMPLETED", "1")
    slow.has_the_bits_of_one_process()


def test_small_jobs_are_submitted_as_one_array(run: Run) -> None:
    settings = {"method": "igc", "points": 2, "shards": 3, "options": {"side": "outputs"}}
    store = "results/small/attributions/network-seed0/parts.zarr"
    arguments = [f"{store}/zarr.json", "--configfile", with_method(run, "parts", settings), *THREADS]
    with Watched(run.site.folder) as watched:
        process = run.site.start(*arguments, "--slurm-array-jobs", "attribute_share")
        status, said = run.site.ended(process)
    assert status == 0, said[-3000:]
    shares = watched.jobs("rule_attribute_share")
    assert len({job["ArrayJobId"] for job in shares}) == 1
    assert sorted(job["ArrayTaskId"] for job in shares if job["ArrayTaskId"].isdecimal()) == ["1", "2", "3"]
    same_bits(run.site.folder / store, run, "igc", points=2, options={"side": "outputs"})
