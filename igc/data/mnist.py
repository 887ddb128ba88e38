"""MNIST: handwritten digits from four IDX files, embedded, downloaded or in a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from igc.config import MnistData
from igc.data.embedded import ORIGINS, embedded_files
from igc.data.idx import open_idx
from igc.data.source import FloatArray, IntArray, Source, one_hot
from igc.errors import DataError, MissingFileError, ShapeError, explain

__all__ = ["FILES", "open_mnist"]

FILES = (
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
)
"""Names of the four files, without ``.gz``: test images and labels, training images and labels."""

ByteArray = npt.NDArray[np.uint8]


@contextmanager
def _located(data: MnistData) -> Iterator[list[Path]]:
    """Give the paths of the four files."""
    if data.source == "embedded":
        with embedded_files("mnist", *(f"{name}.gz" for name in FILES)) as paths:
            yield paths
        return
    download = data.source == "download"
    folder = Path(data.download_folder if download else data.source)
    remedy = "run `igc fetch` first" if download else "check data.source, or use 'download' or 'embedded'"
    paths = []
    for name in FILES:
        found = [path for path in (folder / name, folder / f"{name}.gz") if path.is_file()]
        if not found:
            raise MissingFileError(explain(folder, f"no {name} or {name}.gz", "the four MNIST files", remedy))
        paths.append(found[0])
    yield paths


def _digits(images_file: Path, labels_file: Path, limit: int | None) -> tuple[ByteArray, ByteArray]:
    """Open one set and check that images and labels belong together."""
    images, labels = open_idx(images_file), open_idx(labels_file)
    if images.dtype != np.uint8 or images.ndim != 3:
        seen = f"{images.dtype.name} of shape {images.shape}"
        raise ShapeError(explain(images_file, seen, "bytes (digit, row, column)", "name a file of images"))
    if labels.dtype != np.uint8 or labels.ndim != 1:
        seen = f"{labels.dtype.name} of shape {labels.shape}"
        raise ShapeError(explain(labels_file, seen, "bytes (digit,)", "name a file of labels"))
    if len(images) != len(labels):
        seen = f"{len(labels)} labels for {len(images)} images"
        raise ShapeError(explain(labels_file, seen, "one label an image", "take both files from the same set"))
    if labels.max(initial=0) > 9:
        raise DataError(explain(labels_file, f"label {labels.max()}", "0 to 9", "name a file of digit labels"))
    if limit is not None and limit > len(images):
        raise DataError(explain(images_file, f"{len(images)} digits", f"{limit}, as asked for", "ask for fewer"))
    return images[:limit], labels[:limit]


@contextmanager
def open_mnist(data: MnistData, seed: int) -> Iterator[Source]:
    """Open MNIST.

    Parameters
    ----------
    data : MnistData
        Which files, and how many of the digits.
    seed : int
        Not used: nothing is random here.

    Yields
    ------
    Source
        Inputs (sample, channel, row, column) from 0 to 1, one-hot responses (sample, digit). Test digits come first.

    Raises
    ------
    MissingFileError, DataError
        If a file is missing, damaged, or does not belong to the others.
    """
    del seed
    with _located(data) as paths:
        test_images, test_labels = _digits(paths[0], paths[1], data.test_samples)
        train_images, train_labels = _digits(paths[2], paths[3], data.train_samples)
        if test_images.shape[1:] != train_images.shape[1:]:
            seen = f"images of {train_images.shape[1:]} pixels"
            raise ShapeError(explain(paths[2], seen, f"{test_images.shape[1:]}, as the test set", "use one dataset"))
        labels = np.concatenate([test_labels, train_labels]).astype(np.int64)
        reader = _Reader(test_images, train_images, labels)
        yield Source(
            shape=(1, *test_images.shape[1:]),
            kind="image",
            target_type="categories",
            target_names=[str(digit) for digit in range(10)],
            groups=np.arange(len(labels)),
            # seventy thousand names that say nothing would swell the attributes of the store
            group_names=[],
            sample_ids=np.arange(len(labels)),
            read=reader,
            origin=_origin(data, paths),
            test=np.arange(len(labels)) < len(test_labels),
        )


def _origin(data: MnistData, paths: list[Path]) -> dict[str, Any]:
    # the embedded files may lie in a temporary place, whose path says nothing
    files = [path.name if data.source == "embedded" else str(path) for path in paths]
    return {**ORIGINS["mnist"], "files": files}


class _Reader:
    """Reads digits by their position: the test set, then the training set."""

    def __init__(self, test: ByteArray, train: ByteArray, labels: IntArray) -> None:
        self._test, self._train, self._labels = test, train, labels

    def __call__(self, positions: IntArray) -> tuple[FloatArray, FloatArray]:
        pixels = np.empty((len(positions), *self._test.shape[1:]), dtype=np.float32)
        is_test = positions < len(self._test)
        pixels[is_test] = self._test[positions[is_test]]
        pixels[~is_test] = self._train[positions[~is_test] - len(self._test)]
        pixels /= 255
        return pixels[:, np.newaxis], one_hot(self._labels[positions], 10)
