"""Which files of the Natural Scenes Dataset a study reads, so that no others are fetched."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from igc.config_nsd import NsdData
from igc.data.nsd.layout import HEMISPHERES, SESSIONS, Layout
from igc.errors import FetchError, explain

__all__ = ["Wanted", "chosen_keys", "wanted_files", "wanted_folders"]


@dataclass(frozen=True)
class Wanted:
    """One file of a study.

    Attributes
    ----------
    choices : tuple of str
        Keys in the bucket; the first one that is there is read.
    needed : bool
        Whether the study cannot do without.
    """

    choices: tuple[str, ...]
    needed: bool = True


def _layout(data: NsdData) -> Layout:
    return Layout(Path(), data.subject, data.space, data.version)


def _key(path: Path) -> str:
    return path.as_posix()


def _roi_files(layout: Layout, name: str) -> list[Wanted]:
    """Labels of a ROI set, and the table of their names, which lies with the subject or the average."""
    if layout.is_surface:
        labels = [Wanted((_key(layout.labels / f"{side}.{name}.mgz"),)) for side in HEMISPHERES]
    else:
        labels = [Wanted((_key(layout.volumes / "roi" / f"{name}.nii.gz"),))]
    tables = tuple(_key(path) for path in layout.color_tables(name))
    return [*labels, Wanted(tables, needed=False)]


def wanted_files(data: NsdData) -> list[Wanted]:
    """Return all files but the responses, which depend on the sessions that are there.

    Parameters
    ----------
    data : NsdData
        The settings.

    Returns
    -------
    list of Wanted
    """
    layout = _layout(data)
    files = [
        Wanted((_key(layout.design),)),
        Wanted((_key(layout.stimuli),)),
        Wanted((_key(layout.behaviour),), needed=False),
    ]
    for name in dict.fromkeys([data.mask, *data.atlases.values()]):
        files += _roi_files(layout, name)
    if layout.space == "nativesurface":
        files += [Wanted((_key(path),), needed=False) for path in layout.meshes]
    if not layout.is_surface:
        files.append(Wanted(tuple(_key(path) for path in layout.backgrounds)))
        if data.atlases and data.divide_hemispheres:
            sides = (layout.volumes / "roi" / f"{side}.nsdgeneral.nii.gz" for side in HEMISPHERES)
            files += [Wanted((_key(path),), needed=False) for path in sides]
    return files


def wanted_folders(data: NsdData) -> list[str]:
    """Return the folders of the bucket, with a slash at the end, in which the files of a study lie."""
    folders = [str(Path(key).parent) for file in wanted_files(data) for key in file.choices]
    return [f"{folder}/" for folder in dict.fromkeys([*folders, _key(_layout(data).betas)])]


def _session_keys(data: NsdData, session: int, form: str) -> list[str]:
    layout = _layout(data)
    sides = [f"{side}." for side in HEMISPHERES] if layout.is_surface else [""]
    return [_key(layout.betas / f"{side}betas_session{session:02d}.{form}") for side in sides]


def _sessions(data: NsdData, available: Collection[str]) -> list[str]:
    """Return the keys of the first sessions, in the one form that is read."""
    layout = _layout(data)
    forms = ("hdf5", "nii.gz") if not layout.is_surface else ("mgh",) if data.space == "fsaverage" else ("hdf5",)
    for form in forms:
        found: list[str] = []
        for session in range(1, min(data.sessions or 99, max(SESSIONS.values())) + 1):
            keys = _session_keys(data, session, form)
            if not all(key in available for key in keys):
                break
            found += keys
        if found:
            return found
    remedy = "check the subject, space and version: not every space exists in every version"
    raise FetchError(explain(f"{_key(layout.betas)}/", "no sessions", "at least one in the bucket", remedy))


def chosen_keys(data: NsdData, available: Collection[str]) -> list[str]:
    """Return what a study reads of what is there.

    Parameters
    ----------
    data : NsdData
        The settings.
    available : collection of str
        Keys of the bucket in the folders of :func:`wanted_folders`.

    Returns
    -------
    list of str
        Each key once.

    Raises
    ------
    FetchError
        If the bucket lacks a file that is needed.
    """
    keys = _sessions(data, available)
    for file in wanted_files(data):
        found = next((key for key in file.choices if key in available), None)
        if found is not None:
            keys.append(found)
        elif file.needed:
            remedy = "name a mask, ROI set, subject and space that the dataset has"
            raise FetchError(explain(file.choices[0], "no such file in the bucket", "one that is there", remedy))
    return list(dict.fromkeys(keys))
