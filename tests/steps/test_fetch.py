import pytest

from igc.config import MnistData
from igc.data import fetch as fetching
from igc.errors import FetchError
from igc.steps.fetch import fetch


def test_embedded_data_needs_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fetch(MnistData(kind="mnist"))
    assert list(tmp_path.iterdir()) == []


def test_download_without_a_network_says_what_to_do(tmp_path, monkeypatch):
    # port 9 of this machine answers nobody
    monkeypatch.setattr(fetching.fetch_mnist, "__defaults__", (["http://127.0.0.1:9/"],))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(FetchError, match="check the network, or put the file there by hand"):
        fetch(MnistData(kind="mnist", source="download", download_folder=str(tmp_path)))
