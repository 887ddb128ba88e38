"""From the raw files of a surface to the figure of its maps: the average one (MGH) and the subject's own (HDF5)."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from igc.config import LinearModel, MethodSettings, NsdData, Split
from igc.data.nsd.make import Recipe, make_nsd
from igc.report.maps import maps_surface
from igc.steps.attribute import attribute_files
from igc.steps.preprocess import preprocess
from igc.steps.train import train
from igc.store.results import open_result
from igc.store.samples import open_samples


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("surface") / "nsd"
    make_nsd(root, Recipe(sessions=(1,), image_size=24, vertices=642, shared=60, spaces=("nativesurface", "fsaverage")))
    return root


@pytest.mark.parametrize("space", ["fsaverage", "nativesurface"])
def test_maps_come_from_raw_files_to_their_place_on_the_cortex(
    made: Path, tmp_path: Path, space: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = NsdData(kind="nsd", folder=str(made), space=space, statistics=["contrast"])
    samples, model, maps = tmp_path / "samples.zarr", tmp_path / "ridge", tmp_path / "linear_igc.zarr"
    preprocess(data, Split(), 0, samples, "surface")
    train(samples, LinearModel(kind="linear"), 0, model, device="cpu", progress=False)
    attribute_files(samples, model, MethodSettings(method="linear_igc"), None, maps, 0, device="cpu", progress=False)
    result = open_result(maps)
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr("nilearn.plotting.plot_surf_stat_map", lambda **options: asked.append(options))
    maps_surface(open_samples(samples), {("ridge-seed0", "linear_igc"): result})
    planted = pd.read_csv(made / "planted" / f"subj01_{space}.tsv", sep="\t", keep_default_na=False)
    total = 0.0
    for options in asked[::2]:
        here = (planted["hemisphere"] == ["left", "right"].index(options["hemi"])) & (planted["code"] == "contrast")
        carriers = planted.loc[here, "vertex"].to_numpy()
        shown, place = options["stat_map"], options["surf_mesh"].coordinates
        # the planted area is the back of the brain, and carries what is drawn
        assert np.abs(shown[carriers]).sum() > 0.6 * np.abs(shown).sum()
        assert place[carriers, 1].max() < np.median(place[:, 1])
        assert options["vmin"] == -options["vmax"]
        total += shown.sum()
    assert len(asked) == 4
    assert total == pytest.approx(float(result["score"][0]), abs=1e-6)
