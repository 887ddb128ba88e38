"""Planted receptive fields are found again from a linear encoder of made files of the Natural Scenes Dataset."""

from pathlib import Path

import numpy as np
import xarray as xr
from sklearn.linear_model import RidgeCV

from igc.config_nsd import NsdData
from igc.data.nsd.make import Recipe, make_nsd
from igc.data.nsd.source import open_nsd
from igc.roi.field_table import field_table, localiser_table


def linear_result(inputs: np.ndarray, responses: np.ndarray, names: list[str]) -> xr.Dataset:
    """Return the maps of a ridge regression on held-out samples, by the closed form of IGC for linear models."""
    flat = inputs.reshape(len(inputs), -1)
    train, test = np.arange(len(flat)) % 4 > 0, np.arange(len(flat)) % 4 == 0
    model = RidgeCV(np.geomspace(1e-2, 1e4, 13), alpha_per_target=True).fit(flat[train], responses[train])
    seen, measured, told = flat[test], responses[test], model.predict(flat[test])
    scale = len(seen) * measured.std(axis=0) * told.std(axis=0)
    maps = model.coef_ * ((measured - measured.mean(axis=0)).T @ (seen - seen.mean(axis=0))) / scale[:, None]
    correlation = [np.corrcoef(a, b)[0, 1] for a, b in zip(measured.T, told.T, strict=True)]
    np.testing.assert_allclose(maps.sum(axis=1), correlation, atol=1e-9)
    return xr.Dataset(
        {
            "attribution": (("target", "channel", "row", "column"), maps.reshape(-1, *inputs.shape[1:])),
            "score": ("target", maps.sum(axis=1)),
            "n_fold": ("fold", [len(seen)]),
        },
        coords={"target": ("target", np.array(names, dtype=object))},
        attrs={"complete": True},
    )


def test_voxels_of_a_category_are_localised_by_the_channel_that_shows_it() -> None:
    random = np.random.default_rng(0)
    n, size = 900, 8
    images = np.zeros((n, 3, size, size))
    images[:, 0] = random.normal(size=(n, size, size))
    # faces and words are squares somewhere in some of the images
    for channel in (1, 2):
        for image in np.flatnonzero(random.random(n) < 0.5):
            row, column = random.integers(0, size - 2, 2)
            images[image, channel, row : row + 3, column : column + 3] = 1
    light, faces, words = images[:, 0, 2, 3], images[:, 1].mean(axis=(1, 2)), images[:, 2].mean(axis=(1, 2))
    planted = {"light": light, "face": 20 * faces, "word": 20 * words, "both": 20 * faces + 10 * words}
    clean = np.stack(list(planted.values()), axis=1)
    result = linear_result(images, clean + random.normal(size=clean.shape), list(planted))
    table = localiser_table(result, {"face": 1, "word": 2})
    share = table.pivot(index="target", columns="category", values="share")
    assert share.loc["face", "face"] > 0.9
    assert share.loc["word", "word"] > 0.9
    assert share.loc["light"].abs().max() < 0.1
    # shares of the variance of independent parts: 4 to 1
    assert abs(share.loc["both", "face"] - 0.8) < 0.05
    assert abs(share.loc["both", "word"] - 0.2) < 0.05
    best = table[table["largest"]].set_index("target")["category"]
    assert [best[name] for name in ("face", "word", "both")] == ["face", "word", "face"]
    fields = field_table(result, xr.Dataset(), categories={"face": 1, "word": 2}).set_index("target")
    assert np.hypot(fields.loc["light", "row"] - 2, fields.loc["light", "column"] - 3) < 0.1


def test_centres_of_planted_fields_are_found_within_one_pixel(tmp_path: Path) -> None:
    make_nsd(tmp_path / "nsd", Recipe(sessions=(2,), spaces=("func1pt8mm",), shared=60))
    data = NsdData(
        kind="nsd", folder=str(tmp_path / "nsd"), predict="responses", mask="prf-visualrois", image_size=16, test="none"
    )
    with open_nsd(data, 0) as source:
        inputs, responses = (one.astype(np.float64) for one in source.read(np.arange(len(source.groups))))
        field, view = source.variables["target_field"].values, source.attributes["field_of_view"]
        names = source.target_names
    result = linear_result(inputs, responses, names)
    samples = xr.Dataset({"target_field": (("target", "property"), field)}, attrs={"field_of_view": view})
    table = field_table(result, samples)
    assert table["distance"].notna().sum() > 50
    # all that were planted count, also those of contrast, which no linear model sees
    assert table["distance"].median() <= 1
    well = table[(table["score"] > 0.5) & table["distance"].notna()]
    assert len(well) > 30
    assert well["distance"].median() < 0.5
