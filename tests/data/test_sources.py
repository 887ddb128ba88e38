import errno

import numpy as np
import pytest
from pydantic import TypeAdapter

from igc.config import DataSource, Split
from igc.data.nsd.make import Recipe, make_nsd
from igc.data.sources import OPENERS, open_source, write_samples
from igc.errors import ConfigError, DataError, StoreError
from igc.store import arrays as store_arrays
from igc.store.samples import open_samples
from tests.data.series import dataset


def parse(**block):
    return TypeAdapter(DataSource).validate_python(block)


def made_up(folder, n_samples=200, shape=(5,)):
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(n_samples, *shape)).astype(np.float32)
    np.save(folder / "x.npy", inputs)
    np.save(folder / "y.npy", inputs.reshape(n_samples, -1)[:, :2] * 3)
    np.save(folder / "g.npy", np.arange(n_samples) // 10)
    files = {"inputs": str(folder / "x.npy"), "responses": str(folder / "y.npy"), "groups": str(folder / "g.npy")}
    return parse(kind="arrays", **files)


def brain(folder):
    make_nsd(folder / "nsd", Recipe(sessions=(1,), image_size=16, spaces=("fsaverage",), vertices=100))
    return parse(kind="nsd", folder=str(folder / "nsd"), space="fsaverage")


KINDS = {
    "simulated": lambda f: (parse(kind="simulated", experiment="permuted", train_samples=40, test_samples=30), "given"),
    "haxby": lambda f: (parse(kind="haxby"), 6),
    "nifti": lambda f: (dataset(f), 3),
    "arrays": lambda f: (made_up(f), 4),
    "mnist": lambda f: (parse(kind="mnist", train_samples=300, test_samples=100), "given"),
    "nsd": lambda f: (brain(f), "given"),
}


def test_every_kind_is_tried_here():
    assert set(KINDS) == set(OPENERS)


@pytest.mark.parametrize("kind", KINDS)
def test_store_holds_what_the_source_reads(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(store_arrays, "CHUNK_BYTES", 50_000)
    data, folds = KINDS[kind](tmp_path)
    done = []
    write_samples(data, Split(folds=folds), 1, tmp_path / "s.zarr", kind, "A title", lambda *a: done.append(a))
    stored = open_samples(tmp_path / "s.zarr")
    with open_source(data, 1) as source:
        inputs, responses = source.read(np.arange(len(source.groups)))
        place = {sample: i for i, sample in enumerate(source.sample_ids.tolist())}
        rows = np.array([place[sample] for sample in stored["sample_id"].values.tolist()])
    assert sorted(rows) == list(range(len(inputs)))
    np.testing.assert_array_equal(stored["inputs"].values, inputs[rows])
    np.testing.assert_array_equal(stored["responses"].values, responses[rows])
    np.testing.assert_array_equal(stored["group"].values, source.groups[rows])
    n_folds = 1 if folds == "given" else folds
    assert set(stored["fold"].values) == set(range(n_folds)) | ({-1} if folds == "given" else set())
    assert stored.attrs["folds"] == n_folds
    assert stored.attrs["source"]["kind"] == data.kind
    assert (stored.attrs["study"], stored.attrs["title"], stored.attrs["kind"]) == (kind, "A title", source.kind)
    assert list(stored["target"].values) == source.target_names
    assert stored["inputs"].dtype == stored["responses"].dtype == np.float32
    assert done[-1] == (len(inputs), len(inputs))


def test_folds_are_contiguous_and_training_samples_last(tmp_path):
    data = parse(kind="mnist", train_samples=30, test_samples=20)
    write_samples(data, Split(), 0, tmp_path / "s.zarr", "digits")
    assert open_samples(tmp_path / "s.zarr")["fold"].values.tolist() == [0] * 20 + [-1] * 30
    write_samples(data, Split(folds=5), 0, tmp_path / "s.zarr", "digits")
    assert open_samples(tmp_path / "s.zarr")["fold"].values.tolist() == sorted([*range(5)] * 10)


def test_samples_are_shuffled_within_a_fold_by_the_seed(tmp_path):
    data = made_up(tmp_path)
    orders = []
    for seed in (0, 0, 1):
        write_samples(data, Split(folds=2), seed, tmp_path / "s.zarr", "x")
        orders.append(open_samples(tmp_path / "s.zarr")["sample_id"].values.tolist())
    assert orders[0] == orders[1] != orders[2]
    assert orders[0][:100] != sorted(orders[0][:100])


def test_volumes_stay_in_the_order_of_time(tmp_path):
    write_samples(dataset(tmp_path), Split(folds=3), 0, tmp_path / "s.zarr", "x")
    stored = open_samples(tmp_path / "s.zarr")
    for fold in range(3):
        ids = stored["sample_id"].values[stored["fold"].values == fold]
        assert ids.tolist() == sorted(ids)


def test_result_does_not_depend_on_chunking(tmp_path, monkeypatch):
    data = parse(kind="simulated", experiment="noisy_pair", train_samples=40, test_samples=30, size=16)
    results = []
    for size in (1, 10_000, 10_000_000):
        monkeypatch.setattr(store_arrays, "CHUNK_BYTES", size)
        write_samples(data, Split(), 0, tmp_path / "s.zarr", "x")
        results.append(open_samples(tmp_path / "s.zarr").load())
    for other in results[1:]:
        np.testing.assert_array_equal(results[0]["inputs"], other["inputs"])
        np.testing.assert_array_equal(results[0]["responses"], other["responses"])


def test_no_more_than_a_chunk_is_read_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(store_arrays, "CHUNK_BYTES", 400)
    sizes = []
    with open_source(made_up(tmp_path), 0) as source:
        original = source.read

    def opened(data, seed):
        from contextlib import nullcontext
        from dataclasses import replace

        return nullcontext(replace(source, read=lambda p: sizes.append(len(p)) or original(p)))

    monkeypatch.setitem(OPENERS, "arrays", opened)
    write_samples(made_up(tmp_path), Split(folds=2), 0, tmp_path / "s.zarr", "x")
    assert set(sizes) == {20}


def test_positions_of_voxels_truth_and_atlases_are_stored(tmp_path):
    write_samples(dataset(tmp_path), Split(folds=3), 0, tmp_path / "s.zarr", "x")
    stored = open_samples(tmp_path / "s.zarr")
    assert stored["voxel_index"].shape == (23, 3)
    assert stored["background"].shape == tuple(stored.attrs["volume_shape"])
    assert np.shape(stored.attrs["affine"]) == (4, 4)
    data = parse(kind="simulated", experiment="maximum", train_samples=5, test_samples=5, size=16)
    write_samples(data, Split(), 0, tmp_path / "s.zarr", "x")
    stored = open_samples(tmp_path / "s.zarr")
    assert stored["truth"].dims == ("target", "channel", "row", "column")
    assert stored["truth_regions"].attrs["regions"]["1"]["name"] == "top"
    assert stored.attrs["source"]["experiment"] == "maximum"


@pytest.mark.parametrize("name", ["x", "y"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_gaps_in_arrays_are_refused_and_nothing_is_left(tmp_path, name, value):
    data = made_up(tmp_path)
    values = np.load(tmp_path / f"{name}.npy")
    values[[17, 18], 0] = value
    np.save(tmp_path / f"{name}.npy", values)
    what = {"x": "inputs", "y": "responses"}[name]
    with pytest.raises(DataError, match=rf"{what}: found NaN or infinity in 2 of 200 samples, first in sample 1[78]"):
        write_samples(data, Split(folds=2), 0, tmp_path / "s.zarr", "x")
    assert not [path for path in tmp_path.iterdir() if "zarr" in path.name]


def test_given_split_without_a_test_set_is_refused(tmp_path):
    for data in (parse(kind="haxby"), dataset(tmp_path), made_up(tmp_path)):
        with pytest.raises(ConfigError, match=r"split\.folds"):
            write_samples(data, Split(), 0, tmp_path / "s.zarr", "x")
    assert not (tmp_path / "s.zarr").exists()


def test_one_run_cannot_be_split_into_folds(tmp_path):
    with pytest.raises(DataError, match="one group only"):
        write_samples(dataset(tmp_path, 1), Split(folds=2), 0, tmp_path / "s.zarr", "x")


def test_full_disk_is_one_line_and_leaves_the_older_store(tmp_path, monkeypatch):
    data = made_up(tmp_path)
    write_samples(data, Split(folds=2), 0, tmp_path / "s.zarr", "older")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store_arrays.StoreWriter, "write", full)
    with pytest.raises(StoreError, match="free some disk space"):
        write_samples(data, Split(folds=2), 0, tmp_path / "s.zarr", "newer")
    assert open_samples(tmp_path / "s.zarr").attrs["study"] == "older"
