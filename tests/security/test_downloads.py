"""What comes from the network gets its name only after it was checked, and never a name outside its folder."""

import gzip
from pathlib import Path
from urllib.parse import quote

import pytest

from igc.data.bucket import Bucket
from igc.data.fetch import fetch_file
from igc.errors import FetchError
from tests.data.mirror import Mirror, serving

LISTING = """<?xml version="1.0"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><IsTruncated>false</IsTruncated>
<Contents><Key>{key}</Key><Size>{size}</Size><ETag>"{etag}"</ETag></Contents></ListBucketResult>"""


def listed(key: str, size: str = "3") -> list[str]:
    text = LISTING.format(key=key, size=size, etag="0" * 32)
    with serving(Mirror(text.encode())) as mirror:
        return [remote.key for remote in Bucket(mirror.address, pause=0).files("data/")]


@pytest.mark.parametrize(
    ("key", "size"),
    [
        ("data/../../outside", "3"),
        ("data/..", "3"),
        ("/etc/passwd", "3"),
        ("elsewhere/file", "3"),
        ("../data/file", "3"),
        ("data/file", "-3"),
        ("data/file", "many"),
        ("data/file", ""),
    ],
)
def test_a_listing_that_names_files_elsewhere_is_refused(key: str, size: str) -> None:
    with pytest.raises(FetchError, match="allowed is keys below data/"):
        listed(key, size)


def test_a_listing_of_its_own_folder_is_taken() -> None:
    assert listed("data/file..txt") == ["data/file..txt"]


def test_a_listing_that_expands_without_end_is_refused() -> None:
    entities = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, 12))
    text = f'<!DOCTYPE x [<!ENTITY e0 "{"a" * 1000}">{entities}]><ListBucketResult>&e11;</ListBucketResult>'
    with serving(Mirror(text.encode())) as mirror, pytest.raises(FetchError, match="a listing as S3 gives it"):
        list(Bucket(mirror.address, pause=0).files("data/"))


@pytest.mark.parametrize("packed", [True, False])
def test_another_content_than_the_pinned_one_never_gets_the_name(packed: bool, tmp_path: Path) -> None:
    content = gzip.compress(b"something else") if packed else b"something else"
    with serving(Mirror(content)) as mirror, pytest.raises(FetchError, match="sha256"):
        fetch_file([mirror.address + quote("file.gz")], tmp_path / "file", "0" * 64)
    assert not (tmp_path / "file").exists()
    assert not [path for path in tmp_path.iterdir() if not path.name.startswith(".")]
