import gzip

import numpy as np
import pytest

from igc.config import MnistData
from igc.data.idx import encode_idx
from igc.data.mnist import FILES, open_mnist
from igc.errors import DataError, MissingFileError, ShapeError


def digits(seed, count):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 28, 28), dtype=np.uint8), rng.integers(0, 10, count, dtype=np.uint8)


@pytest.fixture
def folder(tmp_path):
    content = dict(zip(FILES, [*digits(0, 6), *digits(1, 9)], strict=True))
    for name, values in content.items():
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(encode_idx(values)))
    return tmp_path


def read_all(**changes):
    with open_mnist(MnistData(kind="mnist", **changes), 0) as source:
        inputs, responses = source.read(np.arange(len(source.groups)))
        return source, inputs, responses


def test_digits_and_labels_keep_together_in_any_order(folder):
    images = np.concatenate([digits(0, 6)[0], digits(1, 9)[0]])
    labels = np.concatenate([digits(0, 6)[1], digits(1, 9)[1]])
    with open_mnist(MnistData(kind="mnist", source=str(folder)), 0) as source:
        order = np.random.default_rng(0).permutation(15)
        inputs, responses = source.read(order)
    np.testing.assert_allclose(inputs[:, 0], images[order] / 255, rtol=1e-6)
    assert inputs.dtype == np.float32
    np.testing.assert_array_equal(responses.argmax(axis=1), labels[order])
    assert source.test.tolist() == [True] * 6 + [False] * 9


def test_plain_files_are_read_as_well(folder):
    _, inputs, _ = read_all(source=str(folder))
    for name in FILES:
        packed = folder / f"{name}.gz"
        (folder / name).write_bytes(gzip.decompress(packed.read_bytes()))
        packed.unlink()
    np.testing.assert_array_equal(read_all(source=str(folder))[1], inputs)


def test_embedded_digits_are_there():
    with open_mnist(MnistData(kind="mnist", train_samples=5), 0) as source:
        assert len(source.groups) == 10005
        inputs, responses = source.read(np.arange(10000, 10005))
    assert responses.argmax(axis=1).tolist() == [5, 0, 4, 1, 9]
    assert inputs.max() == 1
    assert source.shape == (1, 28, 28)
    assert source.origin["files"][0] == "t10k-images-idx3-ubyte.gz"


def test_fewer_digits_can_be_asked_for_but_not_more(folder):
    source, _, _ = read_all(source=str(folder), train_samples=4, test_samples=3)
    assert source.test.tolist() == [True] * 3 + [False] * 4
    with pytest.raises(DataError, match="found 9 digits, allowed is 10"):
        read_all(source=str(folder), train_samples=10)


def test_missing_files_are_named_and_never_downloaded(folder, tmp_path):
    (folder / f"{FILES[2]}.gz").unlink()
    with pytest.raises(MissingFileError, match="train-images-idx3-ubyte"):
        read_all(source=str(folder))
    with pytest.raises(MissingFileError, match="run `igc fetch` first"):
        read_all(source="download", download_folder=str(tmp_path / "none"))


@pytest.mark.parametrize(
    ("position", "values", "kind", "complaint"),
    [
        (0, np.zeros(6, np.uint8), ShapeError, r"bytes \(digit, row, column\)"),
        (0, np.zeros((6, 28, 28), np.float32), ShapeError, "float32"),
        (1, np.zeros((6, 28, 28), np.uint8), ShapeError, r"bytes \(digit,\)"),
        (1, np.zeros(5, np.uint8), ShapeError, "5 labels for 6 images"),
        (1, np.full(6, 12, np.uint8), DataError, "label 12"),
        (2, np.zeros((9, 20, 20), np.uint8), ShapeError, r"images of \(20, 20\) pixels"),
    ],
)
def test_files_that_do_not_belong_together_are_refused(folder, position, values, kind, complaint):
    (folder / f"{FILES[position]}.gz").write_bytes(gzip.compress(encode_idx(values)))
    with pytest.raises(kind, match=complaint):
        read_all(source=str(folder))
