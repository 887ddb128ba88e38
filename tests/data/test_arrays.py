import numpy as np
import pytest
import zarr

from igc.config import ArraysData
from igc.data.arrays import open_array, open_arrays
from igc.errors import DataError, IgcError, MissingFileError, ShapeError

RNG = np.random.default_rng(0)
INPUTS = RNG.normal(size=(20, 6))
VALUES = RNG.normal(size=(20, 2))
LABELS = np.arange(20) % 3 + 4


def saved(folder, name, values):
    np.save(folder / f"{name}.npy", values)
    return str(folder / f"{name}.npy")


def settings(folder, inputs=INPUTS, responses=VALUES, **changes):
    changes = {k: saved(folder, k, v) if isinstance(v, np.ndarray) else v for k, v in changes.items()}
    files = {"inputs": saved(folder, "inputs", inputs), "responses": saved(folder, "responses", responses)}
    return ArraysData(kind="arrays", **files, **changes)


def read_all(data):
    with open_arrays(data, 0) as source:
        return source, *source.read(np.arange(len(source.groups)))


def test_arrays_are_read_as_they_are(tmp_path):
    source, inputs, responses = read_all(settings(tmp_path))
    np.testing.assert_array_equal(inputs, INPUTS.astype(np.float32))
    np.testing.assert_array_equal(responses, VALUES.astype(np.float32))
    assert (source.kind, source.shape, source.target_type) == ("vector", (6,), "values")
    assert source.target_names == ["target 0", "target 1"]
    assert source.groups.tolist() == list(range(20))


@pytest.mark.parametrize("kind", [np.int64, np.float32, np.uint8])
def test_whole_numbers_on_one_axis_are_categories(tmp_path, kind):
    source, _, responses = read_all(settings(tmp_path, responses=LABELS.astype(kind)))
    assert (source.target_type, source.target_names) == ("categories", ["4", "5", "6"])
    np.testing.assert_array_equal(responses.argmax(axis=1), LABELS - 4)
    source, _, _ = read_all(settings(tmp_path, responses=LABELS, target_names=["a", "b", "c"]))
    assert source.target_names == ["a", "b", "c"]


def test_npy_stays_on_disk(tmp_path):
    assert isinstance(open_array(saved(tmp_path, "a", INPUTS)), np.memmap)


@pytest.mark.parametrize("chunks", [(3, 6), (20, 2)])
def test_zarr_is_read_like_npy(tmp_path, chunks):
    array = zarr.create_array(tmp_path / "inputs.zarr", shape=INPUTS.shape, chunks=chunks, dtype="f8")
    array[:] = INPUTS
    data = settings(tmp_path).model_copy(update={"inputs": str(tmp_path / "inputs.zarr")})
    np.testing.assert_array_equal(read_all(data)[1], INPUTS.astype(np.float32))
    assert isinstance(open_array(tmp_path / "inputs.zarr"), np.memmap)


def test_images_groups_test_set_and_atlas_are_understood(tmp_path):
    atlas = np.zeros((1, 3, 3), np.int16)
    atlas[0, 0] = 7
    data = settings(
        tmp_path,
        inputs=RNG.normal(size=(20, 1, 3, 3)),
        groups=np.repeat(["b", "a"], 10),
        test=np.arange(20) // 10,
        atlases={"rows": {"labels": saved(tmp_path, "atlas", atlas)}},
    )
    source, _, _ = read_all(data)
    assert (source.kind, source.group_names) == ("image", ["b", "a"])
    assert source.test.tolist() == [False] * 10 + [True] * 10
    variable = source.variables["atlas_rows"]
    assert variable.dims == ("channel", "row", "column")
    assert variable.attributes["regions"] == {"7": {"name": "label 7", "color": None}}


class Dangerous:
    """Leaves a trace if it is unpickled."""

    loaded = False

    def __reduce__(self):
        return (setattr, (Dangerous, "loaded", True))


def test_pickled_arrays_are_never_loaded(tmp_path):
    np.save(tmp_path / "bad.npy", np.array([Dangerous()], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=r"bad\.npy"):
        open_array(tmp_path / "bad.npy")
    assert not Dangerous.loaded


def truncated(folder):
    data = settings(folder)
    content = (folder / "inputs.npy").read_bytes()
    (folder / "inputs.npy").write_bytes(content[:-9])
    return data


def zarr_group(folder):
    zarr.create_group(folder / "g.zarr")
    return settings(folder).model_copy(update={"inputs": str(folder / "g.zarr")})


def atlas(folder, values):
    return settings(folder, atlases={"parts": {"labels": saved(folder, "atlas", values)}})


WRONG = {
    "three axes": (lambda f: settings(f, inputs=np.zeros((20, 3, 3))), ShapeError, r"shape \(20, 3, 3\)"),
    "empty": (lambda f: settings(f, inputs=np.zeros((0, 3))), ShapeError, r"shape \(0, 3\)"),
    "text": (lambda f: settings(f, inputs=np.full((20, 6), "a")), DataError, "elements of type <U1"),
    "complex": (lambda f: settings(f, responses=VALUES * 1j), DataError, "complex128"),
    "lengths": (lambda f: settings(f, responses=VALUES[:-1]), ShapeError, r"\(19, 2\) for 20 inputs"),
    "fractions": (lambda f: settings(f, responses=VALUES[:, 0]), DataError, "fractions or NaN as categories"),
    "NaN label": (lambda f: settings(f, responses=np.r_[np.nan, LABELS[1:]]), DataError, "fractions or NaN"),
    "one category": (lambda f: settings(f, responses=LABELS * 0), DataError, r"1 categories \(0\)"),
    "names": (lambda f: settings(f, target_names=["a"]), ShapeError, "1 names"),
    "same names": (lambda f: settings(f, target_names=["a", "a"]), ShapeError, "1 of them different"),
    "groups": (lambda f: settings(f, groups=np.zeros(3)), ShapeError, r"shape \(3,\)"),
    "test": (lambda f: settings(f, test=np.arange(20)), DataError, "other numbers than 0 and 1"),
    "missing": (lambda f: settings(f, groups="gone.npy"), MissingFileError, "gone"),
    "truncated": (truncated, DataError, "inputs.npy: found unreadable"),
    "zarr group": (zarr_group, DataError, "g.zarr"),
    "atlas shape": (lambda f: atlas(f, np.ones(5, int)), ShapeError, r"\(5,\), allowed is \(6,\)"),
    "atlas fractions": (lambda f: atlas(f, np.full(6, 0.5)), DataError, "not whole numbers"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_refused_in_one_line(tmp_path, case):
    make, kind, complaint = WRONG[case]
    with pytest.raises(kind, match=complaint) as caught:
        read_all(make(tmp_path))
    assert isinstance(caught.value, IgcError)
    assert "\n" not in str(caught.value)
