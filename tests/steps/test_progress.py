"""What a log gets of the progress of a job: whole lines, now and then, and no control characters."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from igc.steps import progress
from igc.steps.progress import Reporter, duration


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return a list that holds the time."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def told(capfd: pytest.CaptureFixture[str]) -> list[str]:
    """Return the lines of a log, without the time in front."""
    lines = capfd.readouterr().err.splitlines()
    stamp = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ")
    assert all(stamp.match(line) for line in lines)
    return [stamp.sub("", line) for line in lines]


def test_a_log_gets_a_line_every_half_a_minute_with_the_time_left(
    clock: list[float], capfd: pytest.CaptureFixture[str]
) -> None:
    with Reporter(True, "cnn igc") as reporter, reporter.task("pairs", 10) as advance:
        for _ in range(10):
            clock[0] += 20
            advance(1)
    assert told(capfd) == [
        "cnn igc: pairs: 2/10 (20%), 0:40 so far, 2:40 left",
        "cnn igc: pairs: 4/10 (40%), 1:20 so far, 2:00 left",
        "cnn igc: pairs: 6/10 (60%), 2:00 so far, 1:20 left",
        "cnn igc: pairs: 8/10 (80%), 2:40 so far, 0:40 left",
        "cnn igc: pairs: 10/10 (100%), 3:20 so far, done",
    ]


def test_what_an_earlier_run_has_done_does_not_shorten_the_time_left(
    clock: list[float], capfd: pytest.CaptureFixture[str]
) -> None:
    with Reporter(True, "cnn igc") as reporter, reporter.task("pairs", 100) as advance:
        for _ in range(90):
            advance(1)  # read back
        for _ in range(4):
            clock[0] += 30
            advance(1)
    assert [line.split(", ")[-1] for line in told(capfd)] == ["4:30 left", "4:00 left", "3:30 left", "3:00 left"]


def test_the_error_reached_stands_at_the_end(clock: list[float], capfd: pytest.CaptureFixture[str]) -> None:
    with Reporter(True, "cnn igc") as reporter:
        reporter.precision(0.0123)
        with reporter.task("pairs", 2) as advance:
            clock[0] += 31
            advance(1)
    assert told(capfd) == ["cnn igc: pairs: 1/2 (50%), 0:31 so far, 0:31 left, error 1.2%"]


def test_short_work_and_work_that_shall_be_silent_write_nothing(
    clock: list[float], capfd: pytest.CaptureFixture[str]
) -> None:
    for shown, seconds in ((True, 1), (False, 1000)):
        with Reporter(shown, "cnn") as reporter, reporter.task("fold 0", 2) as advance:
            for _ in range(2):
                clock[0] += seconds
                advance(1)
    assert told(capfd) == []


@pytest.mark.parametrize(("seconds", "text"), [(-3, "0:00"), (7.4, "0:07"), (750, "12:30"), (93665, "26:01:05")])
def test_durations_are_written_as_people_read_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_process_gives_signs_of_life_to_the_file_it_writes_its_errors_to(tmp_path: Path) -> None:
    code = "import time; from igc.cli_status import give_signs; give_signs(0.02); time.sleep(60)"
    log = tmp_path / "job.log"
    with log.open("w") as opened, subprocess.Popen([sys.executable, "-c", code], stderr=opened) as process:
        seen = {log.stat().st_mtime_ns}
        for _ in range(3000):
            seen.add(log.stat().st_mtime_ns)
            if len(seen) > 3:
                break
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.01)
        process.kill()
    assert len(seen) > 3
    assert log.read_text() == ""
