"""The verb that exports a study in the Brain Imaging Data Structure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from igc.cli_options import OutputFolder, SamplesOption, folder, folders

__all__ = ["bids"]


def bids(
    attributions: Annotated[list[Path], typer.Argument(help="Attribution stores of one study of a brain.")],
    samples: SamplesOption,
    output: OutputFolder,
    rois: Annotated[Path | None, typer.Option(help="The ROI store.")] = None,
    tables: Annotated[Path | None, typer.Option(help="The folder of ROI tables that `igc aggregate` wrote.")] = None,
    fields: Annotated[Path | None, typer.Option(help="The folder that `igc fields` wrote, for encoders.")] = None,
) -> None:
    """Export maps, ROI sets, ROI tables and receptive fields as BIDS derivatives.

    Example: igc bids igc.zarr --samples samples.zarr --rois rois.zarr --tables rois --output derivatives/igc
    """
    from igc import __version__
    from igc.steps.bids import bids as step

    step(folder(samples), folder(rois) if rois else None, folders(attributions), tables, output, __version__, fields)
