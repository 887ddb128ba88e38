import gzip

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from igc.data.idx import ELEMENT_TYPES, encode_idx, open_idx
from igc.errors import DataError, MissingFileError

ARRAYS = st.sampled_from(sorted(ELEMENT_TYPES.values())).flatmap(
    lambda kind: hnp.arrays(np.dtype(kind), hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5))
)


@given(values=ARRAYS, compress=st.booleans())
def test_what_is_written_is_read_back(tmp_path_factory, values, compress):
    file = tmp_path_factory.mktemp("idx") / "values"
    content = encode_idx(values)
    file.write_bytes(gzip.compress(content) if compress else content)
    np.testing.assert_array_equal(open_idx(file), values)
    assert open_idx(file).shape == values.shape


def test_header_is_the_documented_one():
    # magic number 0x00000803 (unsigned byte, three axes), then each dimension in four bytes, big-endian
    content = encode_idx(np.arange(2 * 3 * 300, dtype=np.uint8).reshape(2, 3, 300))
    assert content[:16].hex() == "0000080300000002000000030000012c"
    assert encode_idx(np.array([1.0, -2.0], np.float32)).hex() == "00000d01000000023f800000c0000000"


def test_large_file_is_mapped_and_not_read(tmp_path):
    file = tmp_path / "values"
    file.write_bytes(encode_idx(np.zeros((10, 28, 28), np.uint8)))
    assert isinstance(open_idx(file), np.memmap)
    file.write_bytes(gzip.compress(encode_idx(np.zeros((10, 28, 28), np.uint8))))
    assert isinstance(open_idx(file), np.memmap)


GOOD = encode_idx(np.arange(600, dtype=np.uint8).reshape(6, 10, 10))


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (GOOD[:-1], "599 bytes of content"),
        (GOOD + b"x", "more than 600 bytes"),
        (GOOD[:9], "an end within the header"),
        (b"", "magic number missing"),
        (b"\0\0\x07\x01" + GOOD[4:], "magic number 00 00 07 01"),
        (b"\0\0\x08\0", "magic number 00 00 08 00"),
        (b"PNG image", "magic number 50 4e 47"),
        (GOOD[:7] + b"\x07" + GOOD[8:], "700 bytes for dimensions (7, 10, 10)"),
    ],
)
def test_truncated_or_mislabelled_file_is_refused_in_one_line(tmp_path, pack, content, complaint):
    file = tmp_path / "digits"
    file.write_bytes(pack(content))
    with pytest.raises(DataError) as caught:
        open_idx(file)
    assert complaint in str(caught.value)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_truncated_or_damaged_gzip_is_refused(tmp_path):
    file = tmp_path / "digits.gz"
    packed = gzip.compress(GOOD)
    for damaged in (packed[:-20], packed[:15], packed[:-8] + bytes(8), packed[:12] + b"\xff" * 8 + packed[20:]):
        file.write_bytes(damaged)
        with pytest.raises(DataError, match=r"digits\.gz"):
            open_idx(file)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(MissingFileError, match="nowhere"):
        open_idx(tmp_path / "nowhere")


def test_element_type_without_a_code_is_refused():
    with pytest.raises(DataError, match="complex128"):
        encode_idx(np.zeros(3, complex))
