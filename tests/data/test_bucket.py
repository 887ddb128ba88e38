import hashlib
import os

import numpy as np
import pytest

from igc.data import bucket as module
from igc.data.bucket import CONNECTIONS, Bucket, Remote, is_there
from igc.errors import FetchError
from tests.data.store import misbehaving, object_store, upload_in_parts

FILES = {f"a/file{i}.bin": np.random.default_rng(i).bytes(20_000 + 1000 * i) for i in range(9)}
FILES |= {"a/b/deeper.bin": b"deeper", "a/empty.bin": b"", "secret/file.bin": b"secret"}


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture(scope="module")
def store():
    os.environ["NO_PROXY"] = "127.0.0.1"
    with object_store(FILES, private={"secret/file.bin"}) as address:
        yield address


def listed(address, folder="a/"):
    return list(Bucket(address).files(folder))


def fetched(faults, folder, remotes=None, watch=lambda size: None):
    bucket = Bucket(faults.address, pause=0.001)
    bucket.fetch(listed(faults.behind + "/natural-scenes-dataset") if remotes is None else remotes, folder, watch)


def check(folder, keys=None):
    """All files are there and right, and nothing else."""
    keys = [key for key in FILES if key.startswith("a/f") or "empty" in key] if keys is None else keys
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert found == {key: FILES[key] for key in keys}


def test_listing_tells_sizes_and_digests_of_one_folder_page_by_page(store):
    for page in (1000, 4):
        found = list(Bucket(store, page=page).files("a/"))
        assert [one.key for one in found] == sorted(key for key in FILES if key.count("/") == 1 and key[0] == "a")
        for one in found:
            assert one.size == len(FILES[one.key])
            assert one.md5 == hashlib.md5(FILES[one.key]).hexdigest()
    assert listed(store, "nowhere/") == []


def test_files_arrive_and_are_not_fetched_again(store, tmp_path):
    arrived = []
    with misbehaving(store) as faults:
        fetched(faults, tmp_path, watch=arrived.append)
        check(tmp_path)
        assert sum(arrived) == sum(len(FILES[key]) for key in FILES if key.startswith("a/f"))
        assert 1 < faults.most_at_once <= CONNECTIONS
        asked = len(faults.asked)
        fetched(faults, tmp_path)
        assert len(faults.asked) == asked


def test_connections_that_break_are_resumed_at_the_byte_where_they_broke(store, tmp_path):
    arrived = []
    with misbehaving(store) as faults:
        # more often than the attempts that are made without getting on
        faults.drop_after, faults.drops = 2000, {"file3.bin": 8, "file5.bin": 2}
        fetched(faults, tmp_path, watch=arrived.append)
        check(tmp_path)
        total = sum(len(FILES[key]) for key in FILES if key.startswith("a/f"))
        assert sum(arrived) == total
        assert faults.sent == total
        assert [r for path, r in faults.asked if "file5" in path] == [None, "bytes=2000-", "bytes=4000-"]


def test_interrupted_run_is_resumed_by_the_next_one(store, tmp_path, monkeypatch):
    # so that some file is in its midst whenever the interruption comes
    monkeypatch.setattr(module, "_PIECE", 1000)

    class Interruption(BaseException):
        pass

    arrived = [0]

    def interrupt(size):
        arrived[0] += size
        if arrived[0] > 30_000:
            raise Interruption

    with misbehaving(store) as faults:
        with pytest.raises(Interruption):
            fetched(faults, tmp_path, watch=interrupt)
        names = [path.name for path in tmp_path.rglob("*") if path.is_file()]
        assert any(name.endswith(".partial") for name in names)
        assert len(names) < 9
        fetched(faults, tmp_path)
        check(tmp_path)
        assert any(wanted for _, wanted in faults.asked)


def test_busy_server_is_asked_again_and_gives_up_in_the_end(store, tmp_path):
    with misbehaving(store) as faults:
        faults.busy = {"file1.bin": 3, "natural-scenes-dataset/": 2}
        assert len(list(Bucket(faults.address, pause=0.001).files("a/"))) == 10
        fetched(faults, tmp_path)
        check(tmp_path)
        faults.busy = {"natural-scenes-dataset/": 99}
        with pytest.raises(FetchError, match=r"status 503.*6 attempts.*run again to go on"):
            list(Bucket(faults.address, pause=0.001).files("a/"))


def test_pauses_grow_and_what_the_server_asks_for_is_kept(monkeypatch):
    waits = []
    bucket = Bucket("http://127.0.0.1:9/b")

    class Clock:
        def wait(self, seconds):
            waits.append(seconds)
            return False

    monkeypatch.setattr(bucket, "_stop", Clock())
    answers = iter([module._BrokenError("busy"), module._BrokenError("busy"), module._BrokenError("busy", 20.0)])

    def fail():
        error = next(answers, None)
        if error:
            raise error
        return "done"

    assert bucket._persist("address", fail) == "done"
    assert 0.7 < waits[0] <= 1.25 < 1.4 < waits[1] <= 2.5
    assert waits[2] == pytest.approx(20, abs=0.1)


def test_wrong_bytes_are_noticed_and_fetched_again(store, tmp_path):
    arrived = []
    with misbehaving(store) as faults:
        faults.wrong = {"file2.bin": 1}
        fetched(faults, tmp_path, watch=arrived.append)
        check(tmp_path)
        assert sum(arrived) == sum(len(FILES[key]) for key in FILES if key.startswith("a/f"))
        (tmp_path / "a/file2.bin").unlink()
        faults.wrong = {"file2.bin": 2}
        with pytest.raises(FetchError, match=r"file2\.bin: found content with MD5 \w{32}, allowed is 22000 bytes"):
            fetched(faults, tmp_path)
        # nothing wrong stays, neither under its name nor to be resumed
        assert not list((tmp_path / "a").glob("*file2*"))


def test_damaged_part_of_an_earlier_run_is_noticed(store, tmp_path):
    remote = next(one for one in listed(store) if one.key == "a/file4.bin")
    for content in (bytes(5000), bytes(99_000)):
        partial = remote.partial(tmp_path)
        partial.parent.mkdir(exist_ok=True)
        partial.write_bytes(content)
        with misbehaving(store) as faults:
            fetched(faults, tmp_path, [remote])
        check(tmp_path, ["a/file4.bin"])
        (tmp_path / "a/file4.bin").unlink()


def test_part_of_another_content_is_not_resumed(store, tmp_path):
    remote = next(one for one in listed(store) if one.key == "a/file4.bin")
    older = Remote(remote.key, remote.size, "0" * 32).partial(tmp_path)
    older.parent.mkdir()
    older.write_bytes(bytes(5000))
    with misbehaving(store) as faults:
        fetched(faults, tmp_path, [remote])
        assert faults.asked == [("/natural-scenes-dataset/a/file4.bin", None)]
    check(tmp_path, ["a/file4.bin"])


def test_file_of_another_size_is_not_taken_for_the_right_one(store, tmp_path):
    remote = next(one for one in listed(store) if one.key == "a/file4.bin")
    (tmp_path / "a").mkdir()
    (tmp_path / remote.key).write_bytes(b"short")
    assert not is_there(remote, tmp_path)
    with misbehaving(store) as faults:
        fetched(faults, tmp_path, [remote])
    check(tmp_path, ["a/file4.bin"])


def test_where_the_etag_is_no_digest_the_size_is_checked(store, tmp_path):
    upload_in_parts(store, "parts/file.bin", FILES["a/file6.bin"])
    (remote,) = listed(store, "parts/")
    assert remote.etag.endswith("-1")
    assert remote.md5 is None
    with misbehaving(store) as faults:
        faults.shorter = {"parts/file.bin": 99}
        with pytest.raises(FetchError, match=r"25999 of 26000 bytes"):
            fetched(faults, tmp_path, [remote])
        assert not (tmp_path / remote.key).exists()
        faults.shorter = {}
        fetched(faults, tmp_path, [remote])
    assert (tmp_path / remote.key).read_bytes() == FILES["a/file6.bin"]


def test_server_that_ignores_ranges_is_heard_from_the_start(store, tmp_path):
    with misbehaving(store) as faults:
        faults.without_ranges = True
        faults.drop_after, faults.drops = 5000, {"file0.bin": 1}
        fetched(faults, tmp_path)
    check(tmp_path)


def test_content_that_changed_since_the_listing_is_refused(store, tmp_path):
    changed = Remote("a/file0.bin", 20_000, "1" * 32)
    with pytest.raises(FetchError, match="another content than the listing promised"):
        Bucket(store).fetch([changed], tmp_path, lambda size: None)
    assert not (tmp_path / "a/file0.bin").exists()


def test_what_is_missing_forbidden_or_no_store_is_said_at_once(store, tmp_path):
    with pytest.raises(FetchError, match=r"404.*NoSuchKey"):
        Bucket(store).fetch([Remote("a/none", 1, "")], tmp_path, lambda size: None)
    with pytest.raises(FetchError, match=r"404.*NoSuchBucket"):
        list(Bucket(store.replace("natural", "unnatural")).files("a/"))
    with pytest.raises(FetchError, match="a listing as S3 gives it"):
        list(Bucket(store.rsplit("/", 1)[0] + "/moto-api").files("a/"))
    with pytest.raises(FetchError, match="status 403"):
        Bucket(store).fetch(listed(store, "secret/"), tmp_path, print)


def test_full_disk_is_noticed_before_anything_is_fetched(store, tmp_path):
    huge = Remote("a/file0.bin", 1 << 60, "")
    with pytest.raises(FetchError, match="GB free"):
        Bucket(store).fetch([huge], tmp_path / "new", print)
    assert not (tmp_path / "new").exists()
