"""The verb that says into how many jobs maps are to be split on a cluster."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from igc.errors import ConfigError, explain

__all__ = ["shards"]

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def shards(
    config: Annotated[Path, typer.Option(help="The configuration of the run to come.")],
    output: Annotated[Path, typer.Option(help="The YAML file to write, for --configfile after the configuration.")],
    wall_time: Annotated[str, typer.Option(help="How long a job should take at most, such as 30m or 2h.")] = "1h",
    results: Annotated[Path, typer.Option(help="The results of an earlier run, perhaps with fewer points.")] = Path(
        "results"
    ),
    workers: Annotated[int, typer.Option(min=1, help="Workers of a job: its cores, or its GPUs.")] = 1,
) -> None:
    """Say into how many jobs each map is to be split, from what an earlier run took.

    Example: igc shards --config study.yaml --wall-time 30m --output shards.yaml
    """
    from igc.steps.shards import plan_shards

    for one in plan_shards(config, results, _seconds(wall_time), output, workers):
        typer.echo(f"{one.study}\t{one.method}\t{one.seconds / 3600:.2f} h of one worker\t{one.shards} jobs a map")


def _seconds(text: str) -> float:
    """Return the seconds of a time such as 30m."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text.strip())
    if not found or float(found[1]) == 0:
        raise ConfigError(explain("--wall-time", repr(text), "a number and s, m, h or d, such as 30m", "correct it"))
    return float(found[1]) * UNITS[found[2]]
