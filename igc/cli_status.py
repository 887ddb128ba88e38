"""The verb that tells how far a run is, and the sign of life that every verb gives to it."""

from __future__ import annotations

import json
import os
import stat
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from igc.steps.status import Job, Status

__all__ = ["give_signs", "status"]

SIGN_SECONDS = 20.0
_NAME = "signs of life"


def give_signs(seconds: float = SIGN_SECONDS) -> threading.Thread | None:
    """Touch the log of this process now and then, so that whoever sees the files alone knows that it runs.

    Parameters
    ----------
    seconds : float
        Pause between two signs.

    Returns
    -------
    threading.Thread or None
        What does it, for as long as the process lives; None where errors do not go to a file.
    """
    running = next((thread for thread in threading.enumerate() if thread.name == _NAME), None)
    if running is not None:
        return running
    try:
        log = os.dup(2) if stat.S_ISREG(os.fstat(2).st_mode) else None
    except OSError:
        return None
    if log is None:
        return None
    never = threading.Event()

    def touch() -> None:
        while not never.wait(seconds):
            with suppress(OSError):
                os.utime(log)

    thread = threading.Thread(target=touch, name=_NAME, daemon=True)
    thread.start()
    return thread


def status(
    results: Annotated[Path, typer.Argument(help="The folder of results, or that of one study in it.")] = Path(
        "results"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON, for scripts.")] = False,
) -> None:
    """Tell what of a run is done, what runs and how long it will take, and what failed and why, from its files alone.

    The exit status is 1 if something failed or was stopped.

    Example: igc status results
    """
    from igc.steps.status import read_status

    found = read_status(results)
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=2))
    elif sys.stdout.isatty():
        _draw(found)
    else:
        for line in _lines(found):
            typer.echo(line)
    if not found.well:
        raise typer.Exit(1)


def _done(found: Status) -> Iterator[tuple[str, str, int, float]]:
    """Yield study, rule, number and seconds of the jobs that are done."""
    done = [job for job in found.jobs if job.state == "done"]
    for (study, rule), count in Counter((job.study, job.rule) for job in done).items():
        seconds = sum(job.seconds or 0.0 for job in done if (job.study, job.rule) == (study, rule))
        yield study or "all studies", rule, count, seconds


def _said(job: Job) -> str:
    """Return what there is to say of a job that is not done."""
    from igc.steps.progress import duration

    share = "" if job.share is None else f"{job.share:.0%} of the work begun"
    left = "" if job.seconds_left is None else f"{duration(job.seconds_left)} left"
    where = "" if job.state == "running" else f"see {job.log}"
    return ", ".join(filter(None, [share, left, job.why, where]))


def _whole(found: Status) -> list[str]:
    """Return what there is to say of the whole."""
    counts = [f"{count} {state}" for state, count in found.counts.items() if count]
    lines = [", ".join(counts) or "nothing was begun"]
    if found.latest.planned:
        lines.append(f"latest run: {found.latest.done} of {found.latest.planned} jobs done, see {found.latest.log}")
    if found.abandoned:
        lines.append("a run that was killed left its lock: run snakemake --unlock, then run it again")
    elif found.counts["stopped"] or found.counts["failed"]:
        lines.append("run the same command again: what is done stays, and what was begun goes on")
    return lines


def _lines(found: Status) -> Iterator[str]:
    """Yield plain lines: one a job that is not done, one a rule for the others."""
    from igc.steps.progress import duration

    for study, rule, count, seconds in _done(found):
        yield f"done     {study} {rule}: {count}, in {duration(seconds)}"
    for job in sorted(found.jobs, key=lambda job: job.state, reverse=True):
        if job.state != "done":
            words = filter(None, [job.study or "all studies", job.rule, job.name])
            yield f"{job.state:<8} {' '.join(words)}: {_said(job)}".removesuffix(": ")
    yield from _whole(found)


def _draw(found: Status) -> None:
    """Draw a table on the terminal."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from igc.steps.progress import duration

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("state", "study", "step", "of", "time"):
        table.add_column(name, no_wrap=name != "of")
    table.add_column("", overflow="fold")
    for study, rule, count, seconds in _done(found):
        table.add_row(Text("done", "green"), study, rule, f"{count} jobs" if count > 1 else "", duration(seconds), "")
    colours = {"running": "blue", "failed": "bold red", "stopped": "bold yellow"}
    for job in sorted(found.jobs, key=lambda job: job.state, reverse=True):
        if job.state != "done":
            cells = [job.study or "all studies", job.rule, job.name, "", _said(job)]
            table.add_row(Text(job.state, colours[job.state]), *map(Text, cells))
    console = Console()
    console.print(table)
    for line in _whole(found):
        console.print(Text(line))
