import numpy as np
from pydantic import TypeAdapter

from igc.config import DataSource, Split
from igc.steps.preprocess import preprocess
from igc.store.samples import open_samples

DATA = TypeAdapter(DataSource).validate_python(
    {"kind": "simulated", "experiment": "maximum", "train_samples": 20, "test_samples": 30, "size": 16}
)


def test_step_writes_samples_and_nothing_to_standard_output(tmp_path, capsys):
    preprocess(DATA, Split(), 0, tmp_path / "results" / "samples.zarr" / "zarr.json", "probe", "A probe")
    samples = open_samples(tmp_path / "results" / "samples.zarr")
    assert samples["inputs"].shape == (50, 1, 16, 16)
    assert np.isfinite(samples["inputs"].values).all()
    assert (samples.attrs["study"], samples.attrs["title"]) == ("probe", "A probe")
    assert capsys.readouterr().out == ""


def test_same_seed_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        preprocess(DATA, Split(), 7, tmp_path / f"{name}.zarr", "probe")
    files = [
        sorted(p.relative_to(tmp_path / n) for p in (tmp_path / n).rglob("*") if p.is_file())
        for n in ("a.zarr", "b.zarr")
    ]
    assert files[0] == files[1]
    for file in files[0]:
        assert (tmp_path / "a.zarr" / file).read_bytes() == (tmp_path / "b.zarr" / file).read_bytes()
