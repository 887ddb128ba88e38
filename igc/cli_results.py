"""The verbs of further results: receptive fields of a study, and groups of studies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from igc.cli_options import (
    ConfigOption,
    OutputFolder,
    SamplesOption,
    SettingsOption,
    StudyOption,
    chosen_study,
    folder,
    folders,
)

__all__ = ["fields", "group"]


def fields(
    attributions: Annotated[list[Path], typer.Argument(help="Attribution stores of one study on images.")],
    samples: SamplesOption,
    output: OutputFolder,
    settings: SettingsOption = None,
    config: ConfigOption = None,
    study: StudyOption = None,
) -> None:
    """Fit a receptive field to the map of every target over the image, as <output>/<model>/<method>.tsv.

    Example: igc fields igc.zarr --settings '{field_of_view: 8.4}' --samples samples.zarr --output fields
    """
    from igc.config import FieldSettings, parse_block

    chosen, _ = chosen_study(settings, config, study)
    block = chosen.fields if chosen else parse_block(FieldSettings, settings or "")
    from igc.steps.fields import fields as step

    step(folder(samples), folders(attributions), block, output)


def group(
    studies: Annotated[list[Path], typer.Argument(help="Folders of the ROI tables that `igc aggregate` wrote.")],
    output: OutputFolder,
    title: Annotated[str, typer.Option(help="One line for the figures.")] = "",
    missing_regions: Annotated[
        bool, typer.Option("--missing-regions", help="Allow regions that some of the subjects lack.")
    ] = False,
) -> None:
    """Put the ROI tables of several subjects into one, with the group's mean and a test over subjects.

    Example: igc group results/subject1/rois results/subject2/rois --output results/groups/both
    """
    from igc.steps.group import group as step

    step(studies, output, title=title, missing_regions=missing_regions)
