"""What of a run is done, what runs, and what failed and why: read from the files that the run leaves, and nothing else.

A job is known by its log. It is done when its output is there, it failed when its log or that of Snakemake says so, it
runs as long as its log or its partial states are touched (every verb touches its log, see ``igc.cli_status``), and else
it was stopped: killed, or lost with its machine. Nothing is written, so this may be asked at any time, by anybody.
"""

from __future__ import annotations

import base64
import binascii
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from igc.errors import MissingFileError, explain

__all__ = ["PATIENCE", "STATES", "Job", "Latest", "Status", "read_status"]

PATIENCE = 180.0
"""Seconds without a sign of life after which a job counts as stopped: several times the pause between two signs."""

STATES = ("failed", "stopped", "running", "done")

# the last file that a job of each rule makes, in the folder of its study; {} is the part of its log below the rule
OUTPUTS = {
    "preprocess": "samples.zarr/zarr.json",
    "rois": "rois.zarr/zarr.json",
    "train": "models/{}/model.json",
    "fit_sampler": "samplers/{}/sampler.json",
    "attribute": "attributions/{}.zarr/zarr.json",
    "aggregate": "rois",
    "yardsticks": "yardsticks",
    "compare": "comparison",
    "report": "figures/verdict.png",
    "summarize": "summary.tsv",
    "explore": "explorer.html",
}
KEPT = {"train": "models", "fit_sampler": "samplers", "attribute": "attributions"}
"""Folders of partial states, by rule."""
TASKS = "tasks.txt"
"""Beside the partial states of a piece of work: how many there will be."""

_SHARE = re.compile(r"\.share\d+of\d+$")
"""At the end of the name of an attribution: a share of its work, of which a mark is kept until the map is there."""
_LINE = re.compile(r"(\d+)/(\d+) \(\d+%\), .* so far, (?:([\d:]+) left|done)")
_STAMP = re.compile(r"^\[(\w{3} \w{3} +\d+ \d\d:\d\d:\d\d \d{4})\]$", re.MULTILINE)
_TAIL = 20_000


@dataclass(frozen=True)
class Job:
    """One job of a run.

    Attributes
    ----------
    study : str
        Empty for a job of all studies.
    rule, name : str
        Which step, and of what: model, or model and method; empty where a study has only one.
    state : str
        One of :data:`STATES`.
    why : str
        What is known of a failure or a stop.
    share : float, optional
        Of the pieces of work begun so far, how much is done.
    seconds_left : float, optional
        Of the piece of work under way, at the rate so far.
    seconds : float, optional
        How long it took, of a job that is done.
    silent : float
        Seconds since its last sign of life.
    log : str
        Where it writes.
    """

    study: str
    rule: str
    name: str
    state: str
    why: str
    share: float | None
    seconds_left: float | None
    seconds: float | None
    silent: float
    log: str


@dataclass(frozen=True)
class Latest:
    """What the latest log of Snakemake says.

    Attributes
    ----------
    log : str
        Its path, empty if there is none.
    done, planned : int
        Jobs that were done, and jobs in all.
    silent : float
        Seconds since it wrote.
    failures : dict of str to (float, str)
        When the job of a log failed (seconds since 1970), and what Snakemake said of it.
    """

    log: str = ""
    done: int = 0
    planned: int = 0
    silent: float = float("inf")
    failures: dict[str, tuple[float, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Status:
    """All jobs of a folder of results, and how Snakemake left it.

    Attributes
    ----------
    folder : str
        The folder of results.
    jobs : list of Job
        By study and rule.
    latest : Latest
        The latest run.
    locked : bool
        Whether a run holds the folder, or one that was killed left its lock.
    """

    folder: str
    jobs: list[Job]
    latest: Latest
    locked: bool

    @property
    def counts(self) -> dict[str, int]:
        """Return the number of jobs of each state."""
        found = Counter(job.state for job in self.jobs)
        return {state: found[state] for state in STATES}

    @property
    def well(self) -> bool:
        """Say whether nothing failed and nothing was stopped."""
        return not self.counts["failed"] and not self.counts["stopped"]

    @property
    def abandoned(self) -> bool:
        """Say whether the lock is one that nobody holds any more, as far as files tell."""
        return self.locked and not self.counts["running"] and self.latest.silent > PATIENCE

    def to_dict(self) -> dict[str, Any]:
        """Return everything as values of JSON."""
        known = asdict(self)
        known["latest"].pop("failures")
        if not self.latest.log:
            known["latest"] = None
        return {**known, "counts": self.counts, "well": self.well, "abandoned": self.abandoned}


def read_status(folder: Path, now: float | None = None) -> Status:
    """Read how far a run is.

    Parameters
    ----------
    folder : Path
        The folder of results, or that of one study in it.
    now : float, optional
        Seconds since 1970; default: the time of the call.

    Returns
    -------
    Status

    Raises
    ------
    MissingFileError
        If there is no such folder.
    """
    if not folder.is_dir():
        raise MissingFileError(explain(folder, "no such folder", "a folder of results", "correct the path"))
    now = time.time() if now is None else now
    place = folder.resolve()
    single = (place / "logs" / "preprocess.log").is_file() or (place / "samples.zarr").is_dir()
    results = place.parent if single else place
    studies = [place] if single else [results, *sorted(path for path in results.iterdir() if path.is_dir())]
    snakemake = results.parent / ".snakemake"
    latest = _latest(snakemake / "log", now)
    unfinished = _unfinished(snakemake / "incomplete")
    reader = _Reader(results, latest, unfinished, now)
    jobs = [job for study in studies for job in reader.jobs(study)]
    locked = any(file.stat().st_size for file in _files(snakemake / "locks"))
    return Status(str(folder), jobs, latest, locked)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []


def _modified(path: Path) -> float:
    """Return when a file was written; one that goes away while we look was never there."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as opened:
            opened.seek(max(0, path.stat().st_size - _TAIL))
            return opened.read().decode("utf-8", "replace")
    except OSError:
        return ""


# --- what Snakemake keeps -------------------------------------------------------------------------------------------


def _latest(folder: Path, now: float) -> Latest:
    """Read the latest log of Snakemake that tells of a run."""
    for file in sorted(_files(folder), key=_modified, reverse=True):
        text = file.read_text(encoding="utf-8", errors="replace")
        plan = re.search(r"^Job stats:\n(?:.*\n)*?total +(\d+)$", text, re.MULTILINE)
        if plan is None:
            continue
        steps = re.findall(r"^(\d+) of (\d+) steps \(", text, re.MULTILINE)
        done, planned = (int(number) for number in steps[-1]) if steps else (0, int(plan[1]))
        silent = max(0.0, now - _modified(file))
        return Latest(str(file), done, planned, silent, dict(_failures(text)))
    return Latest()


def _failures(text: str) -> Iterator[tuple[str, tuple[float, str]]]:
    """Find the jobs that Snakemake saw fail: their logs, when, and what it said."""
    stamps = [(found.start(), found[1]) for found in _STAMP.finditer(text)]
    for block in re.finditer(r"^Error in rule .*:\n((?:    .*\n)+)", text, re.MULTILINE):
        fields = dict(re.findall(r"^    (\w+): (.*)$", block[1], re.MULTILINE))
        before = [stamp for start, stamp in stamps if start < block.start()]
        if "log" in fields and before:
            log = fields["log"].removesuffix(" (check log file(s) for error details)")
            said = fields.get("message", "None")
            when = datetime.strptime(before[-1], "%a %b %d %H:%M:%S %Y").timestamp()
            yield log, (when, "" if said == "None" else said)


def _unfinished(folder: Path) -> set[str]:
    """Return the outputs of jobs that Snakemake started and has not seen end; their paths are names in base 64."""
    found = set()
    for file in folder.rglob("*") if folder.is_dir() else ():
        name = "".join(part.removeprefix("@") for part in file.relative_to(folder).parts)
        with suppress(binascii.Error, UnicodeDecodeError, ValueError):
            found.add(base64.urlsafe_b64decode(name).decode())
    return found


# --- jobs -----------------------------------------------------------------------------------------------------------


class _Reader:
    """Reads the jobs of studies.

    Parameters
    ----------
    results : Path
        The folder of all results.
    latest : Latest
        The latest run.
    unfinished : set of str
        Outputs of jobs that have not ended, as the workflow names them.
    now : float
        The time.
    """

    def __init__(self, results: Path, latest: Latest, unfinished: set[str], now: float) -> None:
        self._results, self._latest, self._unfinished, self._now = results, latest, unfinished, now

    def jobs(self, study: Path) -> Iterator[Job]:
        """Yield the jobs of a study that began, by rule."""
        logs = study / "logs"
        found = [file for file in logs.rglob("*.log") if file.is_file()] if logs.is_dir() else []
        rank = {rule: i for i, rule in enumerate(("fetch", *OUTPUTS))}
        parts = [(file, file.relative_to(logs).with_suffix("").parts) for file in found]
        for file, (rule, *name) in sorted(parts, key=lambda part: (rank.get(part[1][0], 99), part[1])):
            yield self._job(study, file, rule, name)

    def _job(self, study: Path, log: Path, rule: str, name: Sequence[str]) -> Job:
        states = self._states(study, rule, name)
        signs = [_modified(log), *(_modified(file) for files in states.values() for file in files)]
        silent = max(0.0, self._now - max(signs))
        benchmark = study / "benchmarks" / log.relative_to(study / "logs").with_suffix(".tsv")
        state, why = self._state(study, log, rule, name, benchmark, silent)
        running = state == "running"
        share, left = self._progress(log, states) if state != "done" else (None, None)
        return Job(
            "" if study == self._results else study.name,
            rule,
            " ".join(name),
            state,
            why,
            share,
            left if running else None,
            _seconds(benchmark) if state == "done" else None,
            silent,
            str(log),
        )

    def _state(
        self, study: Path, log: Path, rule: str, name: Sequence[str], benchmark: Path, silent: float
    ) -> tuple[str, str]:
        output = self._output(study, rule, name)
        if output is None:
            done = benchmark.is_file() and _modified(benchmark) >= _modified(log) - PATIENCE
        else:
            done = output.exists() and self._named(output) not in self._unfinished
        if done:
            return "done", ""
        why = _error(log)
        when, said = self._latest.failures.get(self._named(log), (0.0, ""))
        # a log that was touched after the failure is that of another attempt
        failed = when > 0 and _modified(log) <= when + 2
        if why or failed:
            return "failed", why or said or "it ended without a word: killed, perhaps for want of memory"
        if silent <= PATIENCE:
            return "running", ""
        return "stopped", f"no sign of life for {silent / 60:.0f} min: killed, or its machine was lost"

    def _named(self, path: Path) -> str:
        """Return a path as the workflow names it."""
        return str(path.relative_to(self._results.parent))

    def _output(self, study: Path, rule: str, name: Sequence[str]) -> Path | None:
        if rule == "fetch":
            return self._results.parent / "resources" / "fetched" / study.name
        if rule == "attribute" and _SHARE.search(name[-1]):
            mark = self._kept(study, rule, name)
            return mark if mark.exists() else self._output(study, rule, [*name[:-1], _SHARE.sub("", name[-1])])
        return study / OUTPUTS[rule].format("/".join(name)) if rule in OUTPUTS else None

    def _states(self, study: Path, rule: str, name: Sequence[str]) -> dict[Path, list[Path]]:
        """Return the partial states of a job, by the folder of a piece of work."""
        if rule not in KEPT:
            return {}
        folder = self._kept(study, rule, [*name[:-1], _SHARE.sub("", name[-1])])
        found: dict[Path, list[Path]] = {}
        for file in folder.rglob("*") if folder.is_dir() else ():
            if file.is_file() and not file.name.startswith("."):
                found.setdefault(file.parent, []).append(file)
        return found

    def _kept(self, study: Path, rule: str, name: Sequence[str]) -> Path:
        return self._results.parent / "resources" / "partials" / study.name / KEPT[rule] / "/".join(name)

    def _progress(self, log: Path, states: dict[Path, list[Path]]) -> tuple[float | None, float | None]:
        """Return the share that is done and the seconds left: from partial states, else from the log."""
        works = [(_expected(folder), _units(files)) for folder, files in states.items()]
        total = sum(expected for expected, _ in works)
        if total:
            done = sum(len(units) for expected, units in works if expected)
            return done / total, self._left(works)
        lines = _LINE.findall(_tail(log))
        if not lines:
            return None, None
        done, total, left = lines[-1]
        return int(done) / max(1, int(total)), _as_seconds(left)

    def _left(self, works: Sequence[tuple[int, list[Path]]]) -> float | None:
        """Return how long the piece of work under way takes, at the pace at which its states were written."""
        open_works = [(expected, units) for expected, units in works if 1 < len(units) < expected]
        if not open_works:
            return None
        expected, units = max(open_works, key=lambda work: max(map(_modified, work[1])))
        times = sorted(map(_modified, units))
        each = (times[-1] - times[0]) / (len(times) - 1)
        return max(0.0, (expected - len(units)) * each - (self._now - times[-1]))


def _units(files: Sequence[Path]) -> list[Path]:
    return [file for file in files if file.name.startswith("units-") and file.suffix == ".safetensors"]


def _expected(folder: Path) -> int:
    with suppress(OSError, ValueError):
        return int((folder / TASKS).read_text(encoding="utf-8"))
    return 0


def _as_seconds(text: str) -> float:
    seconds = 0
    for part in text.split(":") if text else ():
        seconds = 60 * seconds + int(part)
    return float(seconds)


def _seconds(benchmark: Path) -> float | None:
    """Return the seconds a job took, from the table that Snakemake writes."""
    with suppress(OSError, ValueError, IndexError):
        header, values = benchmark.read_text(encoding="utf-8").splitlines()[:2]
        return float(values.split("\t")[header.split("\t").index("s")])
    return None


def _error(log: Path) -> str:
    """Return the line in which a job says why it failed, or nothing."""
    lines = [line for line in _tail(log).splitlines() if line.strip()]
    told = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    if told:
        return told[-1]
    return lines[-1].strip() if any(line.startswith("Traceback (most recent call last)") for line in lines) else ""
