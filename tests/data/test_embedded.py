import hashlib
from importlib.resources import files

import numpy as np

from igc.data.embedded import ORIGINS, embedded_files
from igc.data.fetch import MNIST_SHA256
from igc.data.idx import encode_idx, open_idx

SAMPLES = files("igc.data") / "samples"


def test_files_are_those_of_the_list_of_sums():
    listed = dict(reversed(line.split()) for line in (SAMPLES / "SHA256SUMS").read_text().splitlines())
    present = {f"{folder}/{file.name}" for folder in ("mnist", "haxby_slice") for file in (SAMPLES / folder).iterdir()}
    assert set(listed) == present
    for name, digest in listed.items():
        assert hashlib.sha256((SAMPLES / name).read_bytes()).hexdigest() == digest, name


def test_embedded_test_digits_are_the_official_ones():
    for name in ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):
        with embedded_files("mnist", f"{name}.gz") as [path]:
            assert hashlib.sha256(encode_idx(open_idx(path))).hexdigest() == MNIST_SHA256[name]


def test_embedded_training_digits_are_ten_thousand():
    with embedded_files("mnist", "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz") as (images, labels):
        assert open_idx(images).shape == (10000, 28, 28)
        # the first ten labels of the official training set, and its mean grey value
        assert open_idx(labels)[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
        assert abs(np.mean(open_idx(images)) / 255 - 0.1307) < 0.002


def test_licence_source_and_citation_lie_beside_the_files():
    text = (SAMPLES / "README.md").read_text()
    for word in ("CC BY-SA 3.0", "LeCun", "Haxby", "ds000105", "Science"):
        assert word in text
    assert all(origin["licence"] and origin["citation"] for origin in ORIGINS.values())
