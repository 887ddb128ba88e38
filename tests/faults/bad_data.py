"""Raw data that contradict their format, their settings or each other: all are refused by `igc preprocess`."""

from __future__ import annotations

import gzip
import json
import pickle
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import zarr

from igc.data.idx import encode_idx
from tests.data import series
from tests.faults.studies import array_settings, brain_settings
from tests.faults.wrong import Wrong, case


def preprocess(study: Path, settings: str, words: list[str], split: str = '{"folds": 3}') -> Wrong:
    return ["preprocess", "--settings", settings, "--split", split, "--output", str(study / "out" / "s.zarr")], words


# --- digits ---------------------------------------------------------------------------------------------------------


def digits(study: Path, *words: str, **changes: Any) -> Wrong:
    settings = {"kind": "mnist", "source": str(study / "digits"), **changes}
    return preprocess(study, json.dumps(settings), list(words), '{"folds": "given"}')


@case
def truncated_idx(study: Path) -> Wrong:
    file = study / "digits" / "t10k-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-100])
    return digits(study, str(file), "980 bytes", "1080 bytes", "fetch the file again")


@case
def idx_of_another_magic_number(study: Path) -> Wrong:
    file = study / "digits" / "t10k-images-idx3-ubyte"
    file.write_bytes(b"\x00\x00\x07\x03" + file.read_bytes()[4:])
    return digits(study, str(file), "magic number 00 00 07 03", "08 to 0e", "fetch the file again")


@case
def idx_whose_header_is_cut(study: Path) -> Wrong:
    file = study / "digits" / "train-labels-idx1-ubyte"
    file.write_bytes(file.read_bytes()[:6])
    return digits(study, str(file), "an end within the header", "fetch the file again")


@case
def damaged_gzip(study: Path) -> Wrong:
    file = study / "digits" / "t10k-images-idx3-ubyte"
    packed = gzip.compress(file.read_bytes())
    file.with_suffix(".gz").write_bytes(packed[: len(packed) // 2])
    file.unlink()
    return digits(study, "t10k-images-idx3-ubyte.gz", "damaged gzip", "a complete gzip file", "fetch the file again")


@case
def more_images_than_labels(study: Path) -> Wrong:
    file = study / "digits" / "t10k-labels-idx1-ubyte"
    file.write_bytes(encode_idx(np.zeros(29, np.uint8)))
    return digits(study, str(file), "29 labels for 30 images", "one label an image")


@case
def labels_in_place_of_images(study: Path) -> Wrong:
    labels = (study / "digits" / "t10k-labels-idx1-ubyte").read_bytes()
    (study / "digits" / "t10k-images-idx3-ubyte").write_bytes(labels)
    return digits(study, "t10k-images-idx3-ubyte", "shape (30,)", "(digit, row, column)", "name a file of images")


@case
def missing_idx(study: Path) -> Wrong:
    (study / "digits" / "train-images-idx3-ubyte").unlink()
    return digits(
        study, str(study / "digits"), "no train-images-idx3-ubyte", "the four MNIST files", "check data.source"
    )


@case
def more_digits_wanted_than_there_are(study: Path) -> Wrong:
    return digits(study, "t10k-images-idx3-ubyte", "30 digits", "31, as asked for", "ask for fewer", test_samples=31)


# --- functional images ----------------------------------------------------------------------------------------------


def brain(study: Path, *words: str, split: str = '{"folds": 3}', **changes: Any) -> Wrong:
    return preprocess(study, brain_settings(study / "brain", **changes), list(words), split)


def altered(study: Path, run: int, change: Any) -> str:
    """Change the voxels (x, y, z, volume) of a run and return its path."""
    signal = series.signal(run)
    change(signal)
    return series.save(study / "brain" / f"run{run}.nii.gz", signal, seconds=series.SECONDS)


def inside() -> tuple[int, int, int]:
    """Return a voxel of the mask."""
    x, y, z = np.argwhere(series.mask())[5]
    return int(x), int(y), int(z)


@case
def mask_of_another_shape(study: Path) -> Wrong:
    mask = series.save(study / "brain" / "mask.nii.gz", np.ones((5, 4, 4), np.uint8))
    return brain(study, mask, "(5, 4, 4)", "(5, 4, 3)", "run0.nii.gz", "resample")


@case
def mask_with_another_affine(study: Path) -> Wrong:
    moved = series.AFFINE + np.eye(4)[:, [3, 2, 1, 0]] * 2
    mask = series.save(study / "brain" / "mask.nii.gz", series.mask(), moved)
    return brain(study, mask, "affines differ by up to 2", "run0.nii.gz", "resample")


@case
def empty_mask(study: Path) -> Wrong:
    mask = series.save(study / "brain" / "mask.nii.gz", np.zeros(series.SHAPE, np.uint8))
    return brain(study, mask, "an empty mask", "at least one voxel above 0", "name another mask")


@case
def run_on_another_grid(study: Path) -> Wrong:
    run = series.save(study / "brain" / "run2.nii.gz", series.signal(2)[:4], seconds=series.SECONDS)
    return brain(study, run, "(4, 4, 3)", "(5, 4, 3)", "resample")


@case
def atlas_on_another_grid(study: Path) -> Wrong:
    atlas = series.save(study / "brain" / "atlas.nii.gz", np.ones((10, 8, 6), np.int16))
    return brain(study, atlas, "(10, 8, 6)", "(5, 4, 3)", "nearest neighbour")


@case
def atlas_with_a_label_without_a_name(study: Path) -> Wrong:
    table = study / "brain" / "atlas.tsv"
    table.write_text("index\tname\n1\tone\n")
    return brain(study, str(table), "no name for label 2 of atlas areas", "one row for each label", "complete")


@case
def atlas_of_fractions(study: Path) -> Wrong:
    atlas = series.save(study / "brain" / "atlas.nii.gz", np.full(series.SHAPE, 0.5, np.float32))
    return brain(study, atlas, "labels that are not whole numbers", "name a label image")


@case
def nan_voxels(study: Path) -> Wrong:
    voxel = inside()
    run = altered(study, 1, lambda signal: signal[voxel].__setitem__(slice(2, 4), np.nan))
    return brain(study, run, "1 NaN or infinite voxels inside the mask", str(voxel), "leave them out of", "mask.nii.gz")


@case
def constant_voxels(study: Path) -> Wrong:
    voxel = inside()
    run = altered(study, 2, lambda signal: signal[voxel].__setitem__(slice(None), 7))
    return brain(
        study, run, "1 constant voxels inside the mask", str(voxel), "finite voxels that vary", "leave them out"
    )


@case
def volume_in_place_of_a_series(study: Path) -> Wrong:
    run = series.save(study / "brain" / "run0.nii.gz", series.signal(0)[..., 0])
    return brain(study, run, "a 3-D image (5, 4, 3)", "4-D", "name another image")


@case
def truncated_nifti(study: Path) -> Wrong:
    file = study / "brain" / "run1.nii.gz"
    file.write_bytes(file.read_bytes()[:-500])
    return brain(study, str(file), "damaged voxels", "a complete image", "get the file again")


@case
def nifti_that_is_none(study: Path) -> Wrong:
    file = study / "brain" / "run1.nii.gz"
    file.write_text("<html>not found</html>")
    return brain(study, str(file), "unreadable", "a NIfTI image", "check the file")


@case
def missing_nifti(study: Path) -> Wrong:
    file = study / "brain" / "run1.nii.gz"
    file.unlink()
    return brain(study, str(file), "no such file", "a NIfTI image", "check the path")


@case
def no_repetition_time(study: Path) -> Wrong:
    file = study / "brain" / "run0.nii.gz"
    nib.save(nib.Nifti1Image(series.signal(0), series.AFFINE), file)
    return brain(study, str(file), "no repetition time in the header", "set data.repetition_time")


@case
def events_without_a_column(study: Path) -> Wrong:
    file = study / "brain" / "events1.tsv"
    file.write_text(file.read_text().replace("trial_type", "condition"))
    return brain(study, str(file), "no column 'trial_type'", "onset, duration, condition", "correct the name")


@case
def events_in_milliseconds(study: Path) -> Wrong:
    for i in range(3):
        (study / "brain" / f"events{i}.tsv").write_text("onset\tduration\ttrial_type\n90000\t8000\tface\n")
    return brain(study, "events0.tsv", "no event that covers a volume (one every 2 s)", "check onset, duration")


@case
def event_without_a_duration(study: Path) -> Wrong:
    file = study / "brain" / "events0.tsv"
    file.write_text("onset\tduration\ttrial_type\n0\tn/a\tface\n8\t8\thouse\n")
    return brain(study, str(file), "'n/a' in column 'duration', row 1", "finite numbers", "seconds")


@case
def fewer_events_tables_than_runs(study: Path) -> Wrong:
    return brain(
        study, "data.events", "1 events files for 3 runs", "one a run", events=[str(study / "brain" / "events0.tsv")]
    )


@case
def targets_shorter_than_the_volumes(study: Path) -> Wrong:
    file = study / "brain" / "targets.tsv"
    file.write_text("\n".join(file.read_text().splitlines()[:-3]) + "\n")
    return brain(
        study,
        str(file),
        "69 rows for 72 volumes",
        "72 rows",
        events=None,
        targets=str(file),
        category_column="category",
    )


@case
def words_in_a_column_of_numbers(study: Path) -> Wrong:
    file = str(study / "brain" / "targets.tsv")
    words = [file, "'face' in column 'category', row 1", "finite numbers", "category_column"]
    return brain(study, *words, events=None, targets=file, target_columns=["category"])


@case
def unknown_target_column(study: Path) -> Wrong:
    file = str(study / "brain" / "targets.tsv")
    words = [file, "no column 'sped'", "category, run, speed", "correct the name of the column"]
    return brain(study, *words, events=None, targets=file, target_columns=["sped"])


@case
def confounds_with_gaps(study: Path) -> Wrong:
    file = study / "brain" / "confounds.tsv"
    file.write_text(file.read_text().replace("\n0\n", "\nn/a\n", 1))
    return brain(study, str(file), "'n/a' in column 'motion', row 1", "without gaps", confounds=[str(file)])


@case
def table_that_is_no_text(study: Path) -> Wrong:
    file = study / "brain" / "events2.tsv"
    file.write_bytes(gzip.compress(file.read_bytes()))
    return brain(study, str(file), "unreadable", "a TSV or CSV table", "correct the file")


@case
def one_group_only(study: Path) -> Wrong:
    folder = study / "brain"
    single = {"images": [str(folder / "run0.nii.gz")], "events": [str(folder / "events0.tsv")]}
    return brain(
        study, "split.folds", "2 folds over one group only", "lower split.folds", split='{"folds": 2}', **single
    )


@case
def more_folds_than_groups(study: Path) -> Wrong:
    return brain(study, "split.folds", "4 folds over 3 groups", "at most one fold a group", split='{"folds": 4}')


@case
def given_folds_without_a_test_set(study: Path) -> Wrong:
    return brain(study, "split.folds", "'given' for a dataset without a test set", "a number", split="{}")


# --- arrays ---------------------------------------------------------------------------------------------------------


def arrays(study: Path, *words: str, **changes: Any) -> Wrong:
    return preprocess(study, array_settings(study / "arrays", **changes), list(words), '{"folds": 2}')


@case
def arrays_of_different_lengths(study: Path) -> Wrong:
    file = study / "arrays" / "responses.npy"
    np.save(file, np.load(file)[:-1])
    return arrays(study, str(file), "shape (79, 2) for 80 inputs", "(80, target)", "match them")


@case
def groups_of_another_length(study: Path) -> Wrong:
    file = study / "arrays" / "groups.npy"
    np.save(file, np.arange(8))
    return arrays(study, str(file), "shape (8,)", "(80,)", "inputs.npy", "give one a sample")


@case
def response_with_nan(study: Path) -> Wrong:
    file = study / "arrays" / "responses.npy"
    values = np.load(file)
    values[17, 1] = np.nan
    np.save(file, values)
    return arrays(study, "responses", "NaN or infinity in 1 of", "first in sample 17", "finite numbers", "leave these")


@case
def input_with_infinity(study: Path) -> Wrong:
    file = study / "arrays" / "inputs.npy"
    values = np.load(file)
    values[40:43] = np.inf
    np.save(file, values)
    return arrays(study, "inputs", "NaN or infinity in 3 of", "finite numbers", "leave these samples out")


@case
def input_too_large_for_single_precision(study: Path) -> Wrong:
    file = study / "arrays" / "inputs.npy"
    values = np.load(file)
    values[3, 2] = 1e60
    np.save(file, values)
    return arrays(study, "inputs", "NaN or infinity in 1 of", "first in sample 3", "finite numbers")


@case
def pickled_npy(study: Path) -> Wrong:
    file = study / "arrays" / "inputs.npy"
    np.save(file, np.array([{"a": 1}] * 80, dtype=object), allow_pickle=True)
    return arrays(study, str(file), "unreadable", "a .npy array of numbers", "save it again")


@case
def pickle_named_npy(study: Path) -> Wrong:
    file = study / "arrays" / "inputs.npy"
    file.write_bytes(pickle.dumps([1, 2, 3]))
    return arrays(study, str(file), "unreadable", "a .npy array of numbers", "save it again")


@case
def npz_named_npy(study: Path) -> Wrong:
    file = study / "arrays" / "inputs.npy"
    with file.open("wb") as stream:
        np.savez(stream, inputs=np.zeros((80, 6)))
    return arrays(study, str(file), "an .npz archive", "a .npy array of numbers", "numpy.save")


@case
def truncated_npy(study: Path) -> Wrong:
    file = study / "arrays" / "inputs.npy"
    file.write_bytes(file.read_bytes()[:-40])
    return arrays(study, str(file), "unreadable", "a .npy array of numbers", "save it again")


@case
def array_of_words(study: Path) -> Wrong:
    file = study / "arrays" / "inputs.npy"
    np.save(file, np.full((80, 6), "a"))
    return arrays(study, str(file), "elements of type <U1", "real numbers", "convert the array")


@case
def inputs_of_three_axes(study: Path) -> Wrong:
    file = study / "arrays" / "inputs.npy"
    np.save(file, np.zeros((80, 3, 2)))
    return arrays(study, str(file), "shape (80, 3, 2)", "(sample, channel, row, column)", "reshape the array")


@case
def fractions_as_categories(study: Path) -> Wrong:
    file = study / "arrays" / "responses.npy"
    np.save(file, np.load(file)[:, 0])
    return arrays(study, str(file), "fractions or NaN as categories", "whole numbers", "(sample, 1)")


@case
def names_for_other_targets(study: Path) -> Wrong:
    return arrays(study, "data.target_names", "3 names", "2 different names", target_names=["a", "b", "c"])


@case
def zarr_group_in_place_of_an_array(study: Path) -> Wrong:
    folder = study / "arrays" / "inputs.zarr"
    zarr.open_group(folder, mode="w")
    return arrays(study, str(folder), "unreadable", "a zarr array", "name one array", inputs=str(folder))


@case
def damaged_zarr_of_inputs(study: Path) -> Wrong:
    folder = study / "arrays" / "inputs.zarr"
    zarr.save_array(str(folder), np.load(study / "arrays" / "inputs.npy"))
    chunk = next(file for file in folder.rglob("*") if file.is_file() and file.name != "zarr.json")
    chunk.write_bytes(chunk.read_bytes()[:-9])
    return arrays(study, str(folder), "a damaged chunk", "a complete zarr array", inputs=str(folder))


@case
def missing_array(study: Path) -> Wrong:
    file = study / "arrays" / "responses.npy"
    file.unlink()
    return arrays(study, str(file), "no such file", "a .npy or .zarr array", "check the path")
