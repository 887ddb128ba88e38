"""The options that several verbs share, and what is made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from igc.errors import ConfigError, explain

__all__ = [
    "ConfigOption",
    "DeviceOption",
    "OutputFolder",
    "OutputStore",
    "ProgressOption",
    "SamplesOption",
    "SeedOption",
    "SettingsOption",
    "StudyOption",
    "WorkersOption",
    "chosen_entry",
    "chosen_study",
    "folder",
    "folders",
    "shown",
]

SettingsOption = Annotated[
    str | None,
    typer.Option(help="This step's block of the configuration, as JSON or YAML text or as the path of a file."),
]
ConfigOption = Annotated[Path | None, typer.Option(help="A configuration file, in place of --settings.")]
StudyOption = Annotated[str | None, typer.Option(help="Name of the study.")]
SeedOption = Annotated[
    int | None, typer.Option(min=0, help="All randomness derives from it; default: the configuration's, or 0.")
]
SamplesOption = Annotated[Path, typer.Option(help="The samples store (samples.zarr, or the zarr.json in it).")]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:<number>.")]
ProgressOption = Annotated[
    bool | None,
    typer.Option(
        "--progress/--no-progress",
        help="Show progress: bars on a terminal, else a line every half a minute; default: yes.",
    ),
]
WorkersOption = Annotated[
    int | None, typer.Option(min=1, help="Worker processes; default: more than this one where they help.")
]
OutputFolder = Annotated[Path, typer.Option(help="The folder to write.")]
OutputStore = Annotated[Path, typer.Option(help="The store to write (a .zarr folder, or the zarr.json in it).")]


def folder(path: Path) -> Path:
    """Return the folder of a store or model that is named by a file inside it, as a workflow must name it."""
    return path.parent if path.name in {"zarr.json", "model.json", "model.safetensors", "sampler.json"} else path


def folders(paths: list[Path] | None) -> list[Path]:
    """Return the folders of several stores or models."""
    return [folder(path) for path in paths or []]


def shown(progress: bool | None) -> bool:
    """Say whether to show progress: as asked, else yes."""
    return progress is not False


def chosen_entry(entries: Any, name: str | None, option: str, where: Path) -> Any:
    """Return one named entry of a mapping of the configuration."""
    if name is None or name not in entries:
        seen = "nothing" if name is None else repr(name)
        raise ConfigError(explain(option, seen, f"one of {', '.join(sorted(entries))} in {where}", "name one of them"))
    return entries[name]


def chosen_study(settings: str | None, config: Path | None, study: str | None) -> tuple[Any, int]:
    """Return the study chosen with ``--config`` (None with ``--settings``), and the seed of the configuration."""
    if (settings is None) == (config is None):
        seen = "neither" if settings is None else "both"
        raise ConfigError(explain("--settings and --config", seen, "exactly one of them", "give one of them"))
    if config is None:
        return None, 0
    from igc.config import load_config

    whole = load_config(config)
    return chosen_entry(whole.studies, study, "--study", config), whole.seed
