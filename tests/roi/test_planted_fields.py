"""Planted receptive fields are found again from a linear encoder of made files of the Natural Scenes Dataset."""

from pathlib import Path

import numpy as np
import xarray as xr
from sklearn.linear_model import RidgeCV

from igc.config_nsd import NsdData
from igc.data.nsd.make import Recipe, make_nsd
from igc.data.nsd.source import open_nsd
from igc.roi.field_table import field_table


def test_centres_of_planted_fields_are_found_within_one_pixel(tmp_path: Path) -> None:
    make_nsd(tmp_path / "nsd", Recipe(sessions=(2,), spaces=("func1pt8mm",), shared=60))
    data = NsdData(
        kind="nsd", folder=str(tmp_path / "nsd"), predict="responses", mask="prf-visualrois", image_size=16, test="none"
    )
    with open_nsd(data, 0) as source:
        inputs, responses = (one.astype(np.float64) for one in source.read(np.arange(len(source.groups))))
        field, view = source.variables["target_field"].values, source.attributes["field_of_view"]
        names = source.target_names
    flat = inputs.reshape(len(inputs), -1)
    train, test = np.arange(len(flat)) % 4 > 0, np.arange(len(flat)) % 4 == 0
    model = RidgeCV(np.geomspace(1e-2, 1e4, 13), alpha_per_target=True).fit(flat[train], responses[train])
    seen, measured, told = flat[test], responses[test], model.predict(flat[test])
    # the closed form of IGC for a linear model
    scale = len(seen) * measured.std(axis=0) * told.std(axis=0)
    maps = model.coef_ * ((measured - measured.mean(axis=0)).T @ (seen - seen.mean(axis=0))) / scale[:, None]
    score = maps.sum(axis=1)
    correlation = [np.corrcoef(a, b)[0, 1] for a, b in zip(measured.T, told.T, strict=True)]
    np.testing.assert_allclose(score, correlation, atol=1e-9)
    result = xr.Dataset(
        {
            "attribution": (("target", "channel", "row", "column"), maps.reshape(-1, 1, 16, 16)),
            "score": ("target", score),
        },
        coords={"target": ("target", np.array(names, dtype=object))},
    )
    samples = xr.Dataset({"target_field": (("target", "property"), field)}, attrs={"field_of_view": view})
    table = field_table(result, samples)
    assert table["distance"].notna().sum() > 50
    # all that were planted count, also those of contrast, which no linear model sees
    assert table["distance"].median() <= 1
    well = table[(table["score"] > 0.5) & table["distance"].notna()]
    assert len(well) > 30
    assert well["distance"].median() < 0.5
