"""Writers of the dataset's file formats, for files that are made and not downloaded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import numpy.typing as npt
import pandas as pd
from nibabel.freesurfer.io import write_geometry, write_morph_data
from scipy.io import savemat
from scipy.spatial import ConvexHull

from igc.data.nsd.betas import SCALE
from igc.data.nsd.design import BEHAVIOUR, Design, Trials
from igc.data.nsd.layout import TRIALS
from igc.seeding import generator

__all__ = [
    "to_integers",
    "write_behaviour",
    "write_color_table",
    "write_design",
    "write_hdf5",
    "write_information",
    "write_mesh",
    "write_mgh",
    "write_nifti",
    "write_stimuli",
]

FloatArray = npt.NDArray[np.float32]
_HALF_AXES = (35.0, 85.0, 55.0)
"""Of an inflated hemisphere, in millimetres."""


def to_integers(percent: npt.ArrayLike) -> npt.NDArray[np.int16]:
    """Return percent signal change as stored: 300 times, rounded, cut at the range of int16, 0 where missing."""
    limits = np.iinfo(np.int16)
    scaled = np.rint(np.nan_to_num(np.asarray(percent, dtype=np.float64)) * SCALE)
    return np.clip(scaled, limits.min, limits.max).astype(np.int16)


def write_nifti(path: Path, values: npt.NDArray[np.generic], voxel: float, seconds: float | None = None) -> None:
    """Write a volume (x, y, z) or a series (x, y, z, trial); the world's origin is the centre of the slab.

    Parameters
    ----------
    path : Path
        The file.
    values : array
        The axes run to the right, forwards and upwards.
    voxel : float
        Size in millimetres.
    seconds : float, optional
        Time between volumes.
    """
    affine = np.diag([voxel, voxel, voxel, 1.0])
    affine[:3, 3] = [-(n - 1) / 2 * voxel for n in values.shape[:3]]
    image = nib.Nifti1Image(values, affine)
    if seconds is not None:
        image.header.set_zooms((voxel, voxel, voxel, seconds))
        image.header.set_xyzt_units("mm", "sec")
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(image, path)


def write_hdf5(path: Path, values: npt.NDArray[np.int16]) -> None:
    """Write responses (x, y, z, trial) or (vertex, trial) as MATLAB does: axes the other way round, a chunk a voxel."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.create_dataset("betas", data=values.T, chunks=(values.shape[-1], *(1 for _ in values.shape[:-1])))


def write_mgh(path: Path, values: npt.NDArray[np.generic]) -> None:
    """Write values (vertex,) or (vertex, frame) with three spatial axes, two of them of length 1."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shaped = np.asarray(values, dtype=np.float32).reshape(len(values), 1, 1, *values.shape[1:])
    nib.save(nib.freesurfer.mghformat.MGHImage(shaped, np.eye(4)), path)


def write_mesh(folder: Path, side: str, directions: npt.NDArray[np.float64]) -> None:
    """Write an inflated hemisphere and its folds, as FreeSurfer does.

    Parameters
    ----------
    folder : Path
        The subject's folder ``surf``.
    side : str
        ``lh`` or ``rh``.
    directions : array (vertex, 3)
        Unit vectors to the right, forwards and upwards; the hemisphere is an ellipsoid.
    """
    folder.mkdir(parents=True, exist_ok=True)
    faces = ConvexHull(directions).simplices.copy()
    # corners run counter-clockwise where they are seen from outside
    inward = np.linalg.det(directions[faces]) < 0
    faces[inward] = faces[inward][:, ::-1]
    write_geometry(folder / f"{side}.inflated", directions * _HALF_AXES, faces)
    waves = np.cos(6 * directions[:, 1]) * np.cos(5 * directions[:, 2])
    write_morph_data(folder / f"{side}.sulc", waves.astype(np.float32))


def write_color_table(path: Path, names: tuple[str, ...]) -> None:
    """Write the names of labels; the last one ends in a tab, as some do in the original files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["0 Unknown", *(f"{code} {name}" for code, name in enumerate(names, start=1))]
    path.write_text("\n".join(lines) + "\t\n", encoding="utf-8")


def write_stimuli(path: Path, images: npt.NDArray[np.uint8]) -> None:
    """Write images (image, row, column, channel)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.create_dataset("imgBrick", data=images, chunks=(1, *images.shape[1:]))


def write_design(path: Path, design: Design) -> None:
    """Write the order of trials; its numbers count from 1."""
    path.parent.mkdir(parents=True, exist_ok=True)
    n_sessions = len(design.order) // TRIALS
    pattern = np.zeros((n_sessions, 12, 75))
    # 63 trials in the first run and every second after it, 62 in the others
    pattern[:, 0::2, :63] = 1
    pattern[:, 1::2, :62] = 1
    _, first, counts = np.unique(design.order, return_index=True, return_counts=True)
    done = np.searchsorted(np.sort(first), (np.arange(n_sessions) + 1) * TRIALS)
    content = {
        "masterordering": design.order[np.newaxis] + 1,
        "subjectim": design.images + 1,
        "sharedix": design.shared[np.newaxis] + 1,
        "stimpattern": pattern,
        "basiccnt": np.stack([done, np.minimum(done, (counts > 1).sum()), np.minimum(done, (counts > 2).sum())]),
    }
    savemat(path, {name: np.asarray(values, dtype=np.float64) for name, values in content.items()})


def write_information(path: Path, design: Design, n_images: int) -> None:
    """Write the table of all images: 41 columns with the unnamed first one."""
    numbers = np.arange(n_images)
    columns: dict[str, object] = {
        "cocoId": 100000 + 7 * numbers,
        "cocoSplit": np.where(numbers % 50 == 0, "val2017", "train2017"),
        "cropBox": ["(0.0, 0.0, 0.1, 0.1)"] * n_images,
        "loss": np.round((numbers % 10) / 100, 2),
        "nsdId": numbers,
        "flagged": np.zeros(n_images, dtype=bool),
        "BOLD5000": np.zeros(n_images, dtype=bool),
        "shared1000": np.isin(numbers, design.shared),
    }
    n_subjects = len(design.images)
    for subject in range(1, n_subjects + 1):
        columns[f"subject{subject}"] = np.isin(numbers, design.images[subject - 1]).astype(int)
    for subject in range(1, n_subjects + 1):
        trials = design.trials(subject, len(design.order) // TRIALS)
        for repeat in range(3):
            column = np.zeros(n_images, dtype=int)
            rows = np.flatnonzero(trials.repeat == repeat)
            column[trials.image[rows]] = rows + 1
            columns[f"subject{subject}_rep{repeat}"] = column
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(columns).to_csv(path)


def write_behaviour(path: Path, subject: int, trials: Trials, seed: int) -> None:
    """Write button presses: 1 for an image that seems new, 2 for one that seems old, right in nine of ten trials."""
    random = generator(seed, "nsd behaviour", subject)
    n = len(trials.image)
    old = (trials.repeat > 0).astype(float)
    correct = (random.uniform(size=n) < 0.9).astype(float)
    within = np.arange(n) % TRIALS
    run = np.searchsorted(np.cumsum([63, 62] * 6), within, side="right")
    pressed = np.where(correct == 1, old, 1 - old) + 1
    time = random.uniform(400, 2500, n)
    # a few trials without an answer
    silent = random.uniform(size=n) < 0.02
    values: Mapping[str, object] = {
        "SUBJECT": np.full(n, subject),
        "SESSION": trials.session,
        "RUN": run + 1,
        "TRIAL": within - np.concatenate([[0], np.cumsum([63, 62] * 6)])[run] + 1,
        "73KID": trials.image + 1,
        "10KID": trials.place + 1,
        "TIME": 7.3e5 + trials.session + within * 4 / 86400,
        "ISOLD": old,
        "ISCORRECT": np.where(silent, np.nan, correct),
        "RT": np.where(silent, np.nan, np.round(time, 3)),
        "CHANGEMIND": np.where(silent, np.nan, 0.0),
        "MEMORYRECENT": np.where(old == 1, 10.0, np.nan),
        "MEMORYFIRST": np.where(old == 1, 10.0, np.nan),
        "ISOLDCURRENT": old,
        "ISCORRECTCURRENT": np.where(silent, np.nan, correct),
        "TOTAL1": (pressed == 1) & ~silent,
        "TOTAL2": (pressed == 2) & ~silent,
        "BUTTON": np.where(silent, np.nan, pressed),
        "MISSINGDATA": np.zeros(n),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame(values)[list(BEHAVIOUR)].astype(float)
    table.to_csv(path, sep="\t", index=False, na_rep="NaN", float_format="%.10g")
