"""Write the small made-up dataset that the examples of config/README.md read.

Run ``python docs/make_example.py`` in an empty folder; it makes a folder ``example`` there (0.5 MB).
Two regions of an invented brain answer to two kinds of pictures, four seconds after the picture.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

SHAPE = (8, 9, 5)
AFFINE = np.array([[3.0, 0, 0, -10.5], [0, 3.0, 0, -12.0], [0, 0, 3.0, -6.0], [0, 0, 0, 1]])
SECONDS, VOLUMES, RUNS, LAG = 2.0, 60, 6, 4.0
REGIONS = {1: ("early left", "#e69f00"), 2: ("early right", "#56b4e9"), 3: ("ventral", "#009e73")}


def save_image(path: Path, values: np.ndarray) -> None:
    """Write an array (x, y, z) or (x, y, z, volume) on the grid of the example."""
    image = nib.Nifti1Image(values, AFFINE)
    image.header.set_xyzt_units("mm", "sec")
    if values.ndim == 4:
        image.header.set_zooms((3.0, 3.0, 3.0, SECONDS))
    nib.save(image, path)


def make_regions(folder: Path) -> dict[int, np.ndarray]:
    """Write the mask, the atlas with its lookup table and two masks of regions."""
    x, y, z = np.indices(SHAPE)
    mask = (x > 0) & (x < 7) & (y > 0) & (y < 8)
    inside = {1: mask & (y < 3) & (x < 4), 2: mask & (y < 3) & (x >= 4), 3: mask & (y >= 5) & (z < 2)}
    labels = sum(label * region.astype(np.int16) for label, region in inside.items())
    save_image(folder / "mask.nii.gz", mask.astype(np.uint8))
    save_image(folder / "atlas.nii.gz", labels.astype(np.int16))
    save_image(folder / "front.nii.gz", (mask & (y >= 4)).astype(np.uint8))
    save_image(folder / "back.nii.gz", (mask & (y < 4)).astype(np.uint8))
    rows = [{"index": label, "name": name, "color": color} for label, (name, color) in REGIONS.items()]
    pd.DataFrame(rows).to_csv(folder / "atlas.tsv", sep="\t", index=False)
    return {**inside, 0: mask}


def make_run(
    random: np.random.Generator, regions: dict[int, np.ndarray]
) -> tuple[np.ndarray, pd.DataFrame, np.ndarray]:
    """Draw one run: image, events and motion."""
    onsets = np.arange(8, VOLUMES * SECONDS - 16, 16.0)
    kinds = random.permutation(["face", "house"] * len(onsets))[: len(onsets)]
    events = pd.DataFrame({"onset": onsets, "duration": 8.0, "trial_type": kinds})
    seen = {"face": np.zeros(VOLUMES), "house": np.zeros(VOLUMES)}
    times = np.arange(VOLUMES) * SECONDS - LAG
    for onset, kind in zip(onsets, kinds, strict=True):
        seen[kind][(times >= onset) & (times < onset + 8)] = 1
    motion = random.normal(scale=0.1, size=(VOLUMES, 2))
    series = 1000 + 10 * random.normal(size=(*SHAPE, VOLUMES)) + 100 * motion[:, 0]
    series[regions[1]] += 6 * seen["face"]
    series[regions[3]] += 6 * seen["house"]
    return np.round(series * regions[0][..., None]).astype(np.int16), events, motion


def make_table(folder: Path, runs: list[pd.DataFrame]) -> None:
    """Write one row a volume over all runs: a category and a number to predict."""
    rows = []
    for number, events in enumerate(runs, start=1):
        category, brightness = np.full(VOLUMES, "rest", dtype=object), np.zeros(VOLUMES)
        for onset, kind in zip(events["onset"], events["trial_type"], strict=True):
            during = (np.arange(VOLUMES) * SECONDS >= onset) & (np.arange(VOLUMES) * SECONDS < onset + 8)
            category[during], brightness[during] = kind, 1.0 if kind == "face" else -1.0
        rows.append(pd.DataFrame({"run": f"run-{number}", "category": category, "brightness": brightness}))
    pd.concat(rows).to_csv(folder / "targets.tsv", sep="\t", index=False)


def make_arrays(folder: Path, random: np.random.Generator) -> None:
    """Write inputs, responses, groups and the mark of the test samples as arrays."""
    inputs = random.normal(size=(400, 30))
    responses = np.stack([inputs[:, :5].sum(axis=1), np.tanh(inputs[:, 5] * inputs[:, 6])], axis=1)
    np.save(folder / "inputs.npy", inputs.astype(np.float32))
    np.save(folder / "responses.npy", responses + 0.3 * random.normal(size=responses.shape))
    np.save(folder / "groups.npy", np.arange(400) // 20)
    np.save(folder / "test.npy", (np.arange(400) >= 200).astype(np.uint8))
    np.save(folder / "parts.npy", np.repeat([1, 2, 0], [5, 5, 20]))
    pd.DataFrame({"index": [1, 2], "name": ["sum", "product"]}).to_csv(folder / "parts.tsv", sep="\t", index=False)


def main(folder: Path) -> None:
    """Write everything into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    regions = make_regions(folder)
    series, tables = [], []
    for number in range(1, RUNS + 1):
        image, events, motion = make_run(random, regions)
        save_image(folder / f"run-{number}_bold.nii.gz", image)
        events.to_csv(folder / f"run-{number}_events.tsv", sep="\t", index=False)
        confounds = pd.DataFrame(motion, columns=["trans_x", "trans_y"]).round(4)
        confounds.to_csv(folder / f"run-{number}_confounds.tsv", sep="\t", index=False)
        series.append(image)
        tables.append(events)
    save_image(folder / "all_bold.nii.gz", np.concatenate(series, axis=3))
    make_table(folder, tables)
    make_arrays(folder, random)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "example"))
