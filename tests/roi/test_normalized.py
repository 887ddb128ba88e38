import numpy as np
import pytest
import xarray as xr

from igc.errors import DataError
from igc.roi.aggregate import roi_table
from igc.roi.normalized import normalized_result
from igc.roi.sets import from_labels
from igc.store.ceilings import ceiling_of, usable_ceiling
from tests.roi.synthetic import make_result

SHAPE = (1, 6, 8)
SETS = {"areas": from_labels("areas", np.arange(48).reshape(SHAPE) % 3, {1: "one", 2: "two"})}


def make_samples(ncsnr, trials, folds, floor=10.0):
    names = np.array(["a", "b", "c"], dtype=object)[: len(ncsnr)]
    return xr.Dataset(
        {
            "target_ncsnr": ("target", np.asarray(ncsnr, np.float32), {"ceiling_floor": floor}),
            "trials": ("sample", np.asarray(trials)),
            "fold": ("sample", np.asarray(folds)),
        },
        coords={"target": names},
        attrs={"study": "some"},
    )


SAMPLES = make_samples([1.0, 0.5, 0.01], [3, 3, 3, 1, 1], [0, 0, 1, 1, -1])


def test_the_ceiling_is_that_of_the_trials_behind_the_held_out_samples():
    # three trials: s^2 / (s^2 + 1/3)
    np.testing.assert_allclose(ceiling_of(SAMPLES, 0)[:2], [75.0, 100 * 0.25 / (0.25 + 1 / 3)])
    # one sample of three trials and one of a single one: the mean of 1/3 and 1
    np.testing.assert_allclose(ceiling_of(SAMPLES, 1)[:2], [60.0, 100 * 0.25 / (0.25 + 2 / 3)])
    np.testing.assert_allclose(ceiling_of(SAMPLES)[:2], [100 / 1.5, 100 * 0.25 / (0.25 + 0.5)])
    assert np.isnan(usable_ceiling(SAMPLES)[2])
    assert ceiling_of(SAMPLES)[2] < 0.1


def test_maps_and_sums_are_divided_by_the_root_of_the_ceiling_and_still_sum_to_the_score():
    result = make_result(SHAPE, SETS)
    samples = make_samples([1.0, 0.5, 0.01], [3] * 4, [0] * 4)
    found = normalized_result(result, samples)
    roots = np.sqrt([0.75, 0.25 / (0.25 + 1 / 3)])
    for name in ("attribution", "roi_attribution", "roi_standard_error", "score"):
        for k, root in enumerate(roots):
            np.testing.assert_allclose(found[name].values[k], result[name].values[k] / root)
        assert np.isnan(found[name].values[2]).all()
    total = found["attribution"].sum(("channel", "row", "column"), skipna=False)
    np.testing.assert_allclose(total, found["score"], atol=1e-12)
    table = roi_table(result, SETS, usable_ceiling(samples))
    total = table.groupby("target", sort=False)["normalized"].sum(min_count=1)
    np.testing.assert_allclose(total, found["score"].values, atol=1e-12)
    np.testing.assert_allclose(table["normalized"][:3], table["attribution"][:3] / roots[0])


def test_without_a_ceiling_nothing_is_normalised():
    decoding = make_samples([1.0] * 3, [3] * 4, [0] * 4).drop_vars("target_ncsnr")
    with pytest.raises(DataError, match="decoding"):
        normalized_result(make_result(SHAPE, SETS), decoding)
    assert roi_table(make_result(SHAPE, SETS), SETS)["normalized"].isna().all()


def test_maps_that_do_not_sum_to_the_score_are_not_normalised():
    result = make_result(SHAPE, SETS).assign_attrs(complete=False)
    with pytest.raises(DataError, match="sum to the score"):
        normalized_result(result, SAMPLES)
    assert roi_table(result, SETS, usable_ceiling(SAMPLES))["normalized"].isna().all()


def test_a_result_of_other_targets_is_refused():
    with pytest.raises(DataError, match="other than"):
        normalized_result(make_result(SHAPE, SETS), SAMPLES.assign_coords(target=np.array(["a", "b", "d"], object)))
