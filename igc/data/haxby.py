"""Haxby et al. (2001), embedded (half a slice), downloaded through nilearn, or in a folder laid out as nilearn does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from igc.config import HaxbyData, NiftiData
from igc.data.embedded import ORIGINS, embedded_files
from igc.data.nifti import open_nifti
from igc.data.source import Source
from igc.errors import MissingFileError, explain

__all__ = ["MASKS", "open_haxby"]

MASKS = {
    "whole": "mask.nii.gz",
    "vt": "mask4_vt.nii.gz",
    "face": "mask8_face_vt.nii.gz",
    "house": "mask8_house_vt.nii.gz",
}
"""File of each mask; that of the whole brain is shared by the subjects."""


def _subject_folder(data: HaxbyData) -> Path:
    """Find the folder of the subject in the given one, at any of the levels that nilearn makes."""
    download = data.source == "download"
    root = Path(data.download_folder if download else data.source)
    subject = f"subj{data.subject}"
    for folder in (root / "haxby2001" / subject, root / subject, root):
        if (folder / "bold.nii.gz").is_file():
            return folder
    remedy = "run `igc fetch` first" if download else "check data.source, or use 'download' or 'embedded'"
    raise MissingFileError(explain(root, f"no {subject}/bold.nii.gz", "Haxby data as nilearn lays it out", remedy))


def _settings(data: HaxbyData) -> NiftiData:
    """Describe the downloaded files as functional images."""
    folder = _subject_folder(data)
    name = MASKS[data.mask]
    found = [path for path in (folder / name, folder.parent / name) if path.is_file()]
    if not found or not (folder / "labels.txt").is_file():
        seen = "no labels.txt" if found else f"no {name}"
        raise MissingFileError(explain(folder, seen, "the files that nilearn fetches", "run `igc fetch` again"))
    return NiftiData(
        kind="nifti",
        images=[str(folder / "bold.nii.gz")],
        mask=str(found[0]),
        targets=str(folder / "labels.txt"),
        category_column="labels",
        run_column="chunks",
        average=data.average,
    )


@contextmanager
def _located(data: HaxbyData) -> Iterator[NiftiData]:
    if data.source != "embedded":
        yield _settings(data)
        return
    with embedded_files("haxby_slice", "bold.nii.gz", "mask.nii.gz", "volumes.tsv") as (bold, mask, volumes):
        yield NiftiData(
            kind="nifti",
            images=[str(bold)],
            mask=str(mask),
            targets=str(volumes),
            category_column="category",
            run_column="run",
            average=data.average,
        )


@contextmanager
def open_haxby(data: HaxbyData, seed: int) -> Iterator[Source]:
    """Open the Haxby data.

    Parameters
    ----------
    data : HaxbyData
        Which files, subject and mask.
    seed : int
        Not used: nothing is random here.

    Yields
    ------
    Source
        Inputs (sample, voxel), detrended and z-scored within each run; one-hot responses (sample, category) of eight
        categories, rest left out; the run is the group.

    Raises
    ------
    MissingFileError
        If the files are not there: nothing is downloaded except by the step ``fetch``.
    """
    with _located(data) as settings, open_nifti(settings, seed) as source:
        files = [settings.images[0], settings.mask, settings.targets or ""]
        names = [Path(file).name for file in files] if data.source == "embedded" else files
        yield replace(source, origin={**ORIGINS["haxby"], "files": names})
