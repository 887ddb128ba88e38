import gzip
import hashlib

import numpy as np
import pytest

from igc.config import HaxbyData, MnistData, SimulatedData
from igc.data import fetch as fetching
from igc.data.fetch import fetch_data, fetch_file, fetch_haxby, fetch_mnist
from igc.data.idx import encode_idx
from igc.data.mnist import FILES, open_mnist
from igc.errors import FetchError
from tests.data.mirror import Mirror, serving

CONTENT = np.random.default_rng(0).bytes(300_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_content_arrives_decompressed_under_its_name(tmp_path, pack):
    with serving(Mirror(pack(CONTENT))) as mirror:
        fetch_file([mirror.address + "file.gz"], tmp_path / "new" / "file", DIGEST)
        fetch_file([mirror.address + "file.gz"], tmp_path / "new" / "file", DIGEST)
    assert (tmp_path / "new" / "file").read_bytes() == CONTENT
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["file"]
    assert len(mirror.ranges) == 1


def test_broken_download_is_resumed_where_it_broke_off(tmp_path):
    packed = gzip.compress(CONTENT)
    with serving(Mirror(packed, drop_after=100_000, drops=2)) as mirror:
        fetch_file([mirror.address], tmp_path / "file", DIGEST)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert mirror.ranges[0] is None
    assert len(mirror.ranges) == 3
    assert mirror.sent < len(packed) + 50_000


def test_later_call_resumes_what_an_earlier_one_left(tmp_path):
    with serving(Mirror(gzip.compress(CONTENT), drop_after=50_000, drops=3)) as mirror:
        with pytest.raises(FetchError):
            fetch_file([mirror.address], tmp_path / "file", DIGEST)
        assert not (tmp_path / "file").exists()
        fetch_file([mirror.address], tmp_path / "file", DIGEST)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert mirror.ranges[3].startswith("bytes=")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_server_without_ranges_is_asked_again_from_the_start(tmp_path):
    with serving(Mirror(gzip.compress(CONTENT), drop_after=100_000, drops=1, honours_range=False)) as mirror:
        fetch_file([mirror.address], tmp_path / "file", DIGEST)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert mirror.ranges[-1] is None


def test_complete_but_stale_partial_file_is_thrown_away(tmp_path):
    with serving(Mirror(gzip.compress(CONTENT))) as mirror:
        partial = fetching._partial_file(tmp_path / "file", mirror.address)
        partial.write_bytes(bytes(1_000_000))
        fetch_file([mirror.address], tmp_path / "file", DIGEST)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_wrong_content_sends_us_to_the_next_mirror(tmp_path):
    with serving(Mirror(gzip.compress(b"other"))) as bad, serving(Mirror(gzip.compress(CONTENT))) as good:
        urls = [bad.address, good.address + "missing", good.address]
        fetch_file(urls, tmp_path / "file", DIGEST)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert len(bad.ranges) == 1


def test_when_all_mirrors_fail_the_message_says_what_each_did(tmp_path):
    (tmp_path / "file").write_bytes(b"an older file")
    with serving(Mirror(gzip.compress(b"other"))) as bad:
        dead = bad.address.replace(bad.address.rsplit(":", 1)[1], "9/")
        with pytest.raises(FetchError) as caught:
            fetch_file([bad.address, bad.address + "missing", dead], tmp_path / "file", DIGEST)
    message = str(caught.value)
    assert "content with sha256 d9298a10d1b0" in message
    assert "404" in message
    assert dead in message
    assert DIGEST in message
    assert "\n" not in message
    # what was there before is neither lost nor replaced by wrong content
    assert (tmp_path / "file").read_bytes() == b"an older file"


def test_damaged_gzip_is_a_wrong_content(tmp_path):
    with serving(Mirror(gzip.compress(CONTENT)[:-100])) as mirror, pytest.raises(FetchError, match="end-of-stream"):
        fetch_file([mirror.address], tmp_path / "file", DIGEST)
    assert list(tmp_path.iterdir()) == []


def test_mnist_is_fetched_and_then_opened(tmp_path, monkeypatch):
    digits = encode_idx(np.zeros((3, 28, 28), np.uint8))
    labels = encode_idx(np.arange(3, dtype=np.uint8))
    with serving(Mirror(gzip.compress(digits))) as images, serving(Mirror(gzip.compress(labels))) as others:
        expected = {n: hashlib.sha256(digits if "images" in n else labels).hexdigest() for n in FILES}
        monkeypatch.setattr(fetching, "MNIST_SHA256", expected)
        data = MnistData(kind="mnist", source="download", download_folder=str(tmp_path / "mnist"))
        fetch_mnist(data, [images.address, others.address])
    with open_mnist(data, 0) as source:
        assert source.read(np.arange(6))[1].argmax(axis=1).tolist() == [0, 1, 2, 0, 1, 2]


def test_data_that_is_here_already_needs_no_network(tmp_path, monkeypatch):
    def refuse(*_):
        pytest.fail("the network was used")

    monkeypatch.setattr(fetching.pooch, "HTTPDownloader", refuse)
    fetch_data(MnistData(kind="mnist"))
    fetch_data(MnistData(kind="mnist", source=str(tmp_path)))
    fetch_data(HaxbyData(kind="haxby"))
    fetch_data(SimulatedData(kind="simulated", experiment="maximum"))


def test_haxby_comes_through_nilearn(tmp_path, monkeypatch):
    from nilearn import datasets

    asked = {}
    monkeypatch.setattr(datasets, "fetch_haxby", lambda **options: asked.update(options))
    data = HaxbyData(kind="haxby", source="download", subject=4, download_folder=str(tmp_path))
    fetch_haxby(data)
    assert (asked["data_dir"], asked["subjects"]) == (str(tmp_path), [4])

    def fail(**_):
        message = "no route to host"
        raise OSError(message)

    monkeypatch.setattr(datasets, "fetch_haxby", fail)
    with pytest.raises(FetchError, match=r"no route to host.*data\.source"):
        fetch_haxby(data)
