"""The figure of receptive fields: what is drawn, where, and that nothing is cut off."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import EllipseCollection

from igc.report.fields import field_figure
from igc.roi.field_table import FIELD_COLUMNS
from tests.report.inspecting import clipped, overlapping

SHAPE = (16, 20)


def table(n: int = 30, truth: bool = True, degrees: bool = True) -> pd.DataFrame:
    random = np.random.default_rng(0)
    row, column, size = random.uniform(2, 13, n), random.uniform(2, 17, n), random.uniform(1, 3, n)
    right, up = column - 9.5, 7.5 - row
    scale = 0.5 if degrees else np.nan
    values = {
        "target": [f"voxel {k}" for k in range(n)],
        "row": row,
        "column": column,
        "size": size,
        "angle": np.degrees(np.arctan2(up, right)),
        "eccentricity": np.hypot(right, up),
        "r2": np.where(np.arange(n) % 5 == 0, 0.05, 0.8),
        "score": np.where(np.arange(n) % 5 == 1, 0.02, 0.5),
        "size_degrees": size * scale,
        "planted_row": row + 1 if truth else np.nan,
        "planted_column": column,
        "distance": 1.0 if truth else np.nan,
    }
    return pd.DataFrame(values).reindex(columns=list(FIELD_COLUMNS))


@pytest.mark.parametrize("truth", [True, False])
@pytest.mark.parametrize("degrees", [True, False])
def test_fields_are_drawn_at_their_place_in_the_visual_field(truth: bool, degrees: bool) -> None:
    data = table(truth=truth, degrees=degrees)
    figure = field_figure(data, SHAPE, "A study")
    axes = {one.get_label(): one for one in figure.axes}
    circles = next(one for one in axes["fields"].collections if isinstance(one, EllipseCollection))
    shown = data[(data["r2"] > 0.2) & (data["score"] > 0.1)].sort_values("row")
    scale = 0.5 if degrees else 1.0
    places = np.array(sorted(circles.get_offsets().tolist(), key=lambda one: -one[1]))
    np.testing.assert_allclose(places[:, 0], (shown["column"] - 9.5) * scale)
    np.testing.assert_allclose(places[:, 1], (7.5 - shown["row"]) * scale)
    assert ("degrees" in axes["fields"].get_xlabel()) == degrees
    assert not clipped(figure)
    assert not overlapping(figure)


def test_lines_lead_from_what_was_planted_to_what_was_fitted() -> None:
    figure = field_figure(table(), SHAPE)
    axes = next(one for one in figure.axes if one.get_label() == "centres")
    segments = np.array(axes.collections[0].get_segments())
    np.testing.assert_allclose(segments[:, 1] - segments[:, 0], np.tile([0, 0.5], (len(segments), 1)), atol=1e-12)
    assert "1.00 pixels" in axes.get_title()


def test_maps_without_a_bump_leave_a_note() -> None:
    figure = field_figure(table().assign(r2=0.01), SHAPE, "A study")
    assert any("No Gaussian" in text.get_text() for text in figure.texts)
