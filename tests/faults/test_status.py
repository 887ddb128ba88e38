"""What the files of a run tell of it: while it runs, after it was killed, after it failed, and when it is done."""

import json
import os
import re
import time
from pathlib import Path

import pytest

from igc.steps.status import PATIENCE, Job, read_status
from tests.faults.studies import array_settings, done, igc
from tests.faults.test_interruptions import attribute, kill_in_the_midst

pytestmark = pytest.mark.slow


def write_log(root: Path, rule: str, text: str = "", age: float = 0.0) -> Path:
    """Write the log of a job of the study `s`, as the rules of the workflow do."""
    log = root / "results" / "s" / "logs" / f"{rule}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(text)
    os.utime(log, (time.time() - age,) * 2)
    return log


def make_samples(study: Path, root: Path) -> None:
    settings = ["--settings", array_settings(study / "arrays"), "--split", '{"folds": 2}']
    write_log(root, "preprocess")
    done("preprocess", *settings, "--output", root / "results" / "s" / "samples.zarr" / "zarr.json")


def the_job(root: Path, rule: str, now: float | None = None) -> Job:
    return next(job for job in read_status(root / "results", now).jobs if job.rule == rule)


@pytest.fixture(scope="module")
def broken(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with samples that are done, ROI sets that failed, and an attribution that was killed."""
    root = tmp_path_factory.mktemp("broken")
    make_samples(study, root)
    refused = igc(
        "rois", "--settings", '{"a": {"kind": "rings"}}', "--samples", study / "samples.zarr", "--output", root
    )
    assert refused.exit_code == 2
    write_log(root, "rois", refused.stderr)
    log = write_log(root, "attribute/network-seed0/igc")
    states = root / "resources" / "partials" / "s" / "attributions" / "network-seed0" / "igc"
    output = root / "results" / "s" / "attributions" / "network-seed0" / "igc.zarr"
    slowed = "igc.streaming.partials:Partials.save"
    kill_in_the_midst(attribute(study, output, states), slowed, states, "units-*.safetensors", 3)
    os.utime(log)
    return root


def test_each_job_has_its_state_and_a_failure_its_reason(broken: Path) -> None:
    jobs = {job.rule: job for job in read_status(broken / "results").jobs}
    assert {rule: job.state for rule, job in jobs.items()} == {
        "preprocess": "done",
        "rois": "failed",
        "attribute": "running",
    }
    assert jobs["rois"].why in (broken / "results" / "s" / "logs" / "rois.log").read_text()
    assert jobs["rois"].why.count("allowed is") == 1
    assert (jobs["attribute"].study, jobs["attribute"].name) == ("s", "network-seed0 igc")


def test_partial_states_tell_the_share_that_is_done_and_the_time_left(broken: Path) -> None:
    job = the_job(broken, "attribute")
    states = broken / "resources" / "partials"
    planned = sum(int(file.read_text()) for file in states.rglob("tasks.txt"))
    assert job.share == len(list(states.rglob("units-*.safetensors"))) / planned
    assert 0 < job.share < 1
    open_work = max(states.rglob("tasks.txt"), key=lambda file: file.stat().st_mtime).parent
    found = sorted(file.stat().st_mtime for file in open_work.glob("units-*.safetensors"))
    if len(found) > 1:
        each = (found[-1] - found[0]) / (len(found) - 1)
        left = each * (int((open_work / "tasks.txt").read_text()) - len(found))
        assert the_job(broken, "attribute", found[-1]).seconds_left == pytest.approx(left)


def test_a_job_without_a_sign_of_life_was_stopped(broken: Path) -> None:
    now = time.time() + PATIENCE + 60
    job = the_job(broken, "attribute", now)
    assert (job.state, job.seconds_left) == ("stopped", None)
    assert re.match(r"no sign of life for \d min", job.why)
    assert not read_status(broken / "results", now).well


def test_a_clock_that_is_behind_that_of_the_files_stops_no_job(broken: Path) -> None:
    job = the_job(broken, "attribute", time.time() - 86_400)
    assert (job.state, job.silent) == ("running", 0.0)


def test_a_run_that_went_well_says_so_with_its_exit_status(study: Path, tmp_path: Path) -> None:
    make_samples(study, tmp_path)
    table = tmp_path / "results" / "s" / "benchmarks" / "preprocess.tsv"
    table.parent.mkdir()
    table.write_text("s\th:m:s\tmax_rss\n75.5\t0:01:15\t12.0\n")
    for folder in (tmp_path / "results", tmp_path / "results" / "s"):
        result = igc("status", folder)
        assert result.exit_code == 0, result.output
        assert result.stdout.splitlines() == ["done     s preprocess: 1, in 1:16", "1 done"]


def test_scripts_get_json_and_people_plain_lines_without_control_characters(broken: Path) -> None:
    told = igc("status", broken / "results", "--json")
    found = json.loads(told.stdout)
    assert (told.exit_code, found["well"], found["locked"], found["latest"]) == (1, False, False, None)
    assert found["counts"] == {"failed": 1, "stopped": 0, "running": 1, "done": 1}
    assert {job["state"] for job in found["jobs"]} == {"failed", "running", "done"}
    plain = igc("status", broken / "results")
    assert plain.exit_code == 1
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", plain.stdout)
    assert re.search(r"^failed +s rois: .*allowed is .*, see .*rois\.log$", plain.stdout, re.MULTILINE)
    assert re.search(r"^running +s attribute network-seed0 igc: \d+% of the work begun", plain.stdout, re.MULTILINE)


def test_a_folder_that_is_not_there_is_told_in_one_line(tmp_path: Path) -> None:
    result = igc("status", tmp_path / "nothing")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"error: {tmp_path / 'nothing'}: found no such folder")


def test_nothing_is_written_by_looking(broken: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in broken.rglob("*")}
    igc("status", broken / "results")
    assert {path: path.stat().st_mtime_ns for path in broken.rglob("*")} == before


@pytest.mark.parametrize(
    ("log", "why"),
    [
        (
            "2026-01-01 10:00:00 cnn igc: pairs: 3/12 (25%), 1:00 so far, 1:02:03 left, error 2%\nerror: no room\n",
            "no room",
        ),
        ("Traceback (most recent call last):\n  File\nMemoryError: too much\n", "MemoryError: too much"),
    ],
)
def test_the_log_of_a_failure_is_read_from_its_end(tmp_path: Path, log: str, why: str) -> None:
    write_log(tmp_path, "train/cnn-seed0", log)
    job = the_job(tmp_path, "train")
    assert (job.state, job.why) == ("failed", why)


def test_a_share_is_done_by_its_mark_and_then_by_the_map_of_all_shares(tmp_path: Path) -> None:
    for i in (1, 2):
        write_log(tmp_path, f"attribute/cnn-seed0/igc.share{i}of2")
    folder = tmp_path / "resources" / "partials" / "s" / "attributions" / "cnn-seed0"
    mark, output = folder / "igc.share1of2", tmp_path / "results" / "s" / "attributions" / "cnn-seed0" / "igc.zarr"
    (folder / "igc" / "abc").mkdir(parents=True)
    (folder / "igc" / "abc" / "tasks.txt").write_text("8\n")
    for i in range(6):
        (folder / "igc" / "abc" / f"units-{i}.safetensors").touch()
    mark.touch()
    assert [job.state for job in read_status(tmp_path / "results").jobs] == ["done", "running"]
    assert [job.share for job in read_status(tmp_path / "results").jobs] == [None, 0.75]
    mark.unlink()
    output.mkdir(parents=True)
    (output / "zarr.json").touch()
    assert [job.state for job in read_status(tmp_path / "results").jobs] == ["done", "done"]


def test_a_line_of_progress_tells_share_and_time_left_where_no_states_do(tmp_path: Path) -> None:
    text = "2026-01-01 10:00:00 cnn: fold 0: 3/12 (25%), 1:00 so far, 1:02:03 left\n"
    write_log(tmp_path, "train/cnn-seed0", text)
    job = the_job(tmp_path, "train")
    assert (job.state, job.share, job.seconds_left) == ("running", 0.25, 3723.0)
