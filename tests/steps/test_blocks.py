"""What methods choose or find by themselves, over folds and blocks of targets."""

import numpy as np
import pytest

from igc.config import MethodSettings
from igc.models.registry import build_architecture
from igc.steps import blocks
from igc.steps.attribute import attribute_files
from igc.steps.blocks import combine_choices
from igc.store.results import open_result
from tests.steps import stored


def test_numbers_are_averaged_and_different_names_are_all_given():
    parts = [
        {"share": 0.2, "layer": "a", "same": 3},
        {"share": 0.8, "layer": "b", "same": 3},
        {"layer": "a", "own": 7.0},
    ]
    found = combine_choices(parts, [1, 3, 4])
    assert found == {"share": pytest.approx(0.65), "layer": "a, b", "same": 3, "own": 7.0}
    assert combine_choices([{}, {}], [1, 1]) == {}


def test_the_share_that_draws_cannot_tell_is_that_of_all_folds_and_targets(tmp_path, monkeypatch):
    stored.write_samples(tmp_path / "samples.zarr", 60, categories=True)
    scales = iter([20.0, 60.0])

    def sure(*arguments):
        module = build_architecture(*arguments)
        module.readout.weight.data.mul_(next(scales))
        return module

    monkeypatch.setattr(stored, "build_architecture", sure)
    stored.write_model(tmp_path / "model")
    settings = MethodSettings(method="pmi", options={"sampler": "marginal", "draws": 16, "max_draws": 16})

    def shares():
        asked = []
        monkeypatch.setattr(
            "igc.steps.assemble.combine_choices", lambda p, w: asked.append((list(p), list(w))) or combine_choices(p, w)
        )
        output = tmp_path / "result.zarr"
        attribute_files(
            tmp_path / "samples.zarr", tmp_path / "model", settings, None, output, workers=1, progress=False
        )
        return open_result(output).attrs["unresolved"], [p["unresolved"] for p in asked[0][0]], asked[0][1]

    whole, each, sizes = shares()
    assert each[0] != each[1]
    assert whole == pytest.approx(np.average(each, weights=sizes))
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1)
    assert shares()[0] == pytest.approx(whole)
