"""The step that defines the ROI sets of a study."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from igc.config import RoiSource
from igc.roi.sets import save_rois
from igc.roi.sources import build_roi_set
from igc.store.outputs import check_store
from igc.store.samples import open_samples

__all__ = ["define_rois"]


def define_rois(samples: Path, rois: Mapping[str, RoiSource], output: Path, seed: int) -> None:
    """Make the ROI sets of a study and write them.

    Parameters
    ----------
    samples : Path
        ``samples.zarr``.
    rois : mapping of str to RoiSource
        ROI sets by name, as configured.
    output : Path
        ``rois.zarr`` to make: one variable a set.
    seed : int
        Seed of the study.

    Raises
    ------
    DataError, MissingFileError
        If a set cannot be made from these samples; nothing is written then.
    """
    check_store(output, samples)
    dataset = open_samples(samples)
    save_rois({name: build_roi_set(name, source, dataset, seed) for name, source in rois.items()}, output)
