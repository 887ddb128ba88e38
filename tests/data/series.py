"""A small made-up functional dataset on disk: two or three runs with blocks of three categories."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

from igc.config import NiftiData

SHAPE = (5, 4, 3)
AFFINE = np.array([[-3.0, 0, 0, 9], [0, 3.0, 0, -6], [0, 0, 3.5, 1], [0, 0, 0, 1]])
SECONDS = 2.0
BLOCKS = ("face", "rest", "house", "rest", "cat", "rest")
BLOCK = 4
LENGTH = len(BLOCKS) * BLOCK


def save(path: Path, values: np.ndarray, affine: np.ndarray = AFFINE, seconds: float | None = None) -> str:
    """Write an image and return its path."""
    image = nib.Nifti1Image(values, affine)
    if seconds is not None and values.ndim == 4:
        image.header.set_zooms((*image.header.get_zooms()[:3], seconds))
        image.header.set_xyzt_units("mm", "sec")
    nib.save(image, path)
    return str(path)


def signal(run: int) -> np.ndarray:
    """Draw a run (x, y, z, volume): noise on a baseline, with a trend and a jump that cleaning must remove."""
    noise = np.random.default_rng(run).normal(size=(*SHAPE, LENGTH))
    return (500 + 40 * run + 10 * noise + 0.5 * np.arange(LENGTH)).astype(np.float32)


def mask() -> np.ndarray:
    """Return a mask (x, y, z) of 23 scattered voxels."""
    inside = np.zeros(np.prod(SHAPE), np.uint8)
    inside[np.random.default_rng(9).permutation(len(inside))[:23]] = 1
    return inside.reshape(SHAPE)


def categories() -> list[str]:
    """Return the category of each volume of a run."""
    return [kind for kind in BLOCKS for _ in range(BLOCK)]


def write_events(path: Path, blocks: tuple[str, ...] = BLOCKS, delay: float = 0.0) -> str:
    """Write an events table with one event a block, rest left out."""
    rows = [
        f"{i * BLOCK * SECONDS + delay}\t{BLOCK * SECONDS}\t{kind}" for i, kind in enumerate(blocks) if kind != "rest"
    ]
    path.write_text("\n".join(["onset\tduration\ttrial_type", *rows]) + "\n")
    return str(path)


def write_targets(path: Path, n_runs: int = 3, **columns: list) -> str:
    """Write a table of targets over all runs: category, run, and further columns."""
    table = {
        "category": categories() * n_runs,
        "run": [f"r{i}" for i in range(n_runs) for _ in range(LENGTH)],
        **columns,
    }
    rows = ["\t".join(str(v) for v in row) for row in zip(*table.values(), strict=True)]
    path.write_text("\n".join(["\t".join(table), *rows]) + "\n")
    return str(path)


def dataset(folder: Path, n_runs: int = 3, **changes: object) -> NiftiData:
    """Write runs, mask and targets, and return settings that use them."""
    settings = {
        "kind": "nifti",
        "images": [save(folder / f"run{i}.nii.gz", signal(i), seconds=SECONDS) for i in range(n_runs)],
        "mask": save(folder / "mask.nii.gz", mask()),
        "targets": write_targets(folder / "targets.tsv", n_runs),
        "category_column": "category",
        "run_column": "run",
        **changes,
    }
    if settings.get("events"):
        settings |= {"targets": None, "category_column": None, "run_column": None}
    return NiftiData(**settings)
