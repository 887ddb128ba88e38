"""How many jobs a map needs: from what an earlier map took, grown with samples and points."""

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from igc.cli import app
from igc.config import MethodSettings, load_config
from igc.errors import MissingFileError
from igc.steps.attribute import attribute_files
from igc.steps.shards import plan_shards
from igc.store.results import open_result
from igc.store.samples import open_samples
from tests.steps.stored import FOLDS, write_model, write_samples

CONFIG = {
    "studies": {
        "small": {
            "data": {"kind": "mnist"},
            "models": {"mlp": {"kind": "network", "architecture": "residual_mlp", "seeds": [0, 1]}},
            "methods": {"igc": {"points": 4}, "later": {"method": "igc"}, "naive_correlation": {}},
        }
    }
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two maps of an earlier run with two points a sample, which are then said to have taken 600 and 1200 seconds."""
    folder = tmp_path_factory.mktemp("run") / "results"
    study = folder / "small"
    write_samples(study / "samples.zarr")
    model = write_model(study / "models" / "mlp-seed0")
    places = {"samples": study / "samples.zarr", "model": model, "rois": None, "progress": False}
    settings = MethodSettings(method="igc", points=2)
    for seed, seconds in ((0, 600.0), (1, 1200.0)):
        store = study / "attributions" / f"mlp-seed{seed}" / "igc.zarr"
        checkpoint = folder / "states"
        attribute_files(**places, settings=settings, output=store, checkpoint=checkpoint)
        text = (store / "zarr.json").read_text(encoding="utf-8")
        result = open_result(store)
        assert result.attrs["work_seconds"] > 0
        (store / "zarr.json").write_text(
            text.replace(repr(result.attrs["work_seconds"]), repr(seconds)), encoding="utf-8"
        )
    return folder


def config_file(folder, **changes):
    config = yaml.safe_load(yaml.safe_dump(CONFIG))
    config["studies"]["small"]["methods"]["igc"] |= changes
    file = folder / "study.yaml"
    file.write_text(yaml.safe_dump(config), encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("changes", "wall", "workers", "seconds", "shards"),
    [
        ({"points": 2}, 3600, 1, 1200, 1),
        ({"points": 4}, 3600, 1, 2400, 1),
        ({"points": 4}, 600, 1, 2400, 5),  # 2400 seconds in jobs of 480 useful ones
        ({"points": 4}, 600, 4, 2400, 2),
        ({"points": 4, "samples": 10}, 600, 1, None, 1),
        ({"points": 4096}, 60, 1, 1200 * 2048, 512),
    ],
)
def test_a_map_is_split_so_that_each_job_ends_in_time(made, tmp_path, changes, wall, workers, seconds, shards):
    output = tmp_path / "shards.yaml"
    (planned,) = plan_shards(config_file(tmp_path, **changes), made, wall, output, workers)
    assert (planned.study, planned.method, planned.shards) == ("small", "igc", shards)
    if seconds is None:
        folds = open_samples(made / "small" / "samples.zarr")["fold"].values
        held_out = np.isin(folds, range(FOLDS)).sum()
        seconds = 1200 * 2 * 10 * FOLDS / held_out
    assert planned.seconds == pytest.approx(seconds)
    joined = yaml.safe_load(config_file(tmp_path, **changes, **_written(output)).read_text(encoding="utf-8"))
    assert joined["studies"]["small"]["methods"]["igc"]["shards"] == shards


def _written(output):
    return yaml.safe_load(output.read_text(encoding="utf-8"))["studies"]["small"]["methods"]["igc"]


def test_the_file_fits_the_configuration(made, tmp_path):
    plan_shards(config_file(tmp_path), made, 300, tmp_path / "shards.yaml")
    file = config_file(tmp_path, **_written(tmp_path / "shards.yaml"))
    assert load_config(file).studies["small"].methods["igc"].shards == 10


def test_without_an_earlier_run_there_is_nothing_to_plan_from(tmp_path):
    with pytest.raises(MissingFileError, match="few points"):
        plan_shards(config_file(tmp_path), tmp_path / "results", 60, tmp_path / "shards.yaml")
    assert not (tmp_path / "shards.yaml").exists()


@pytest.mark.parametrize("text", ["", "30", "m", "0m", "-3m", "1h30m"])
def test_a_time_that_is_none_is_one_line(tmp_path, text):
    arguments = ["--config", str(config_file(tmp_path)), "--output", str(tmp_path / "x.yaml"), f"--wall-time={text}"]
    result = CliRunner().invoke(app, ["shards", *arguments])
    assert result.exit_code == 2
    assert "--wall-time" in result.stderr


def test_the_verb_tells_what_it_wrote(made, tmp_path):
    output = tmp_path / "shards.yaml"
    arguments = ["--config", str(config_file(tmp_path)), "--results", str(made), "--output", str(output)]
    result = CliRunner().invoke(app, ["shards", *arguments, "--wall-time", "5m", "--workers", "2"])
    assert result.exit_code == 0, result.output
    assert result.stdout == "small\tigc\t0.67 h of one worker\t5 jobs a map\n"
