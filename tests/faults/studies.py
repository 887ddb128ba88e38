"""A small study of every kind on disk, made by the command line itself; tests spoil copies of it."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from click.testing import Result
from typer.testing import CliRunner

from igc.cli import app
from igc.data.idx import encode_idx
from igc.data.mnist import FILES
from tests.data import series

NETWORK = {"kind": "network", "architecture": "residual_mlp", "arguments": {"width": 8}, "training": {"epochs": 2}}


def igc(*arguments: str | Path) -> Result:
    """Run the command line in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def done(*arguments: str | Path) -> None:
    """Run the command line and insist that it went well."""
    result = igc(*arguments)
    if result.exit_code:
        raise AssertionError(result.output) from result.exception


def content(folder: Path) -> dict[str, str]:
    """Return a digest of each file below a folder."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def write_digits(folder: Path) -> None:
    """Write 30 test and 40 training images as IDX files."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in FILES:
        count = 30 if name.startswith("t10k") else 40
        images = rng.integers(0, 255, (count, 6, 6), dtype=np.uint8)
        labels = np.arange(count, dtype=np.uint8) % 10
        (folder / name).write_bytes(encode_idx(images if "images" in name else labels))


def brain_settings(folder: Path, **changes: Any) -> str:
    """Return settings of the functional images in a folder as JSON."""
    settings = {
        "kind": "nifti",
        "images": [str(folder / f"run{i}.nii.gz") for i in range(3)],
        "mask": str(folder / "mask.nii.gz"),
        "events": [str(folder / f"events{i}.tsv") for i in range(3)],
        "atlases": {"areas": {"labels": str(folder / "atlas.nii.gz"), "table": str(folder / "atlas.tsv")}},
        **changes,
    }
    return json.dumps({key: value for key, value in settings.items() if value is not None})


def write_brain(folder: Path) -> None:
    """Write three runs with mask, events, targets, confounds and an atlas."""
    folder.mkdir()
    for i in range(3):
        series.save(folder / f"run{i}.nii.gz", series.signal(i), seconds=series.SECONDS)
        series.write_events(folder / f"events{i}.tsv")
    series.save(folder / "mask.nii.gz", series.mask())
    series.save(folder / "atlas.nii.gz", np.arange(60, dtype=np.int16).reshape(series.SHAPE) // 20)
    (folder / "atlas.tsv").write_text("index\tname\n1\tone\n2\ttwo\n")
    series.write_targets(folder / "targets.tsv", speed=[str(i % 7) for i in range(3 * series.LENGTH)])
    (folder / "confounds.tsv").write_text("motion\n" + "\n".join(str(i % 5) for i in range(3 * series.LENGTH)) + "\n")


def array_settings(folder: Path, **changes: Any) -> str:
    """Return settings of the arrays in a folder as JSON."""
    names = ("inputs", "responses", "groups")
    return json.dumps({"kind": "arrays", **{name: str(folder / f"{name}.npy") for name in names}, **changes})


def write_arrays(folder: Path) -> None:
    """Write 80 samples of six numbers, two targets that depend on them, and eight groups."""
    folder.mkdir()
    rng = np.random.default_rng(1)
    inputs = rng.standard_normal((80, 6)) + 1.0
    np.save(folder / "inputs.npy", inputs)
    np.save(folder / "responses.npy", inputs @ rng.standard_normal((6, 2)) + 0.3 * rng.standard_normal((80, 2)))
    np.save(folder / "groups.npy", np.arange(80) // 10)
    np.save(folder / "half.npy", np.arange(6) < 3)


def write_study(folder: Path) -> Path:
    """Make raw data of every kind, and every result from the arrays."""
    folder.mkdir()
    write_digits(folder / "digits")
    write_brain(folder / "brain")
    write_arrays(folder / "arrays")
    samples, rois = folder / "samples.zarr", folder / "rois.zarr"
    split = '{"folds": 2}'
    done("preprocess", "--settings", array_settings(folder / "arrays"), "--split", split, "--output", samples)
    sets = {"halves": {"kind": "masks", "masks": {"first": str(folder / "arrays" / "half.npy")}}}
    done("rois", "--settings", json.dumps(sets), "--samples", samples, "--output", rois)
    linear = json.dumps({"kind": "linear", "alphas": [0.1, 10.0, 3], "inner_folds": 2})
    for name, settings in (("ridge", linear), ("network", json.dumps(NETWORK))):
        done("train", "--settings", settings, "--samples", samples, "--output", folder / name)
    common = ["--samples", samples, "--model", folder / "network", "--rois", rois]
    done("attribute", "--settings", '{"method": "igc", "points": 2}', *common, "--output", folder / "maps" / "igc.zarr")
    return folder


def copied(study: Path, folder: Path) -> Path:
    """Copy a study, to be spoilt."""
    return Path(shutil.copytree(study, folder / "study"))


def flip_byte(file: Path, position: int) -> None:
    """Damage a file."""
    data = bytearray(file.read_bytes())
    data[position] ^= 0xFF
    file.write_bytes(bytes(data))
