import numpy as np
import pytest
import torch
from captum.metrics import infidelity as captum_infidelity
from scipy import stats

from igc.comparison.additivity import (
    infidelity,
    relative_infidelity,
    sensitivity_n,
    subset_masks,
    subset_sizes,
    various_masks,
)
from igc.comparison.judged import Judged, constant_reference
from tests.comparison.judging import linear_judged

ZERO = constant_reference(0.0)


def curved(judged: Judged) -> Judged:
    return Judged(
        judged.inputs, judged.targets, lambda x, o: judged.predict(x, o) ** 3, False, judged.numbers, judged.spread
    )


@pytest.mark.parametrize("shape", [(12,), (2, 4, 4)])
def test_complete_maps_of_an_additive_model_are_perfect(shape: tuple[int, ...]) -> None:
    judged, contributions = linear_judged(shape=shape)
    sizes = subset_sizes(judged.n_units)
    found = sensitivity_n({"exact": contributions, "scaled": 3 * contributions}, judged, ZERO, sizes, 20, 0)
    np.testing.assert_allclose(found["exact"], 1.0, rtol=1e-9)
    np.testing.assert_allclose(found["scaled"], 1.0, rtol=1e-9)
    errors = infidelity({"exact": contributions, "scaled": 3 * contributions}, judged, ZERO, 50, 0)
    np.testing.assert_allclose([errors["exact"], errors["scaled"]], 0.0, atol=1e-20)


def test_contributions_against_another_reference_fit_only_that_reference() -> None:
    judged, contributions = linear_judged()
    mean = judged.inputs.mean(axis=0)
    sizes = subset_sizes(judged.n_units)
    against_mean = sensitivity_n({"zero": contributions}, judged, constant_reference(mean), sizes, 30, 0)["zero"]
    assert np.nanmean(against_mean) < 0.99


def test_sensitivity_n_is_the_correlation_over_the_subsets_of_a_size() -> None:
    judged, contributions = linear_judged(n=3)
    judged = curved(judged)
    found = sensitivity_n({"map": contributions}, judged, ZERO, [1, 5], 25, 7)["map"]
    for i in range(3):
        for k, size in enumerate((1, 5)):
            masks = subset_masks(12, size, 25, 7, i)
            drops = [
                judged.raw(judged.inputs[i : i + 1], np.array([i]))
                - judged.raw(np.where(mask, 0, judged.inputs[i])[None], np.array([i]))
                for mask in masks
            ]
            sums = [contributions[i][mask].sum() for mask in masks]
            assert found[i, k] == pytest.approx(stats.pearsonr(sums, np.ravel(drops))[0], rel=1e-9)


def test_infidelity_is_that_of_captum_over_the_mean_square_of_the_changes() -> None:
    judged, contributions = linear_judged(n=4, targets=1)
    maps = contributions + 0.5 * np.random.default_rng(0).normal(size=contributions.shape)
    judged = curved(judged)
    found = infidelity({"map": maps}, judged, ZERO, 40, 3)["map"]

    def model(x: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(judged.predict(x.numpy(), np.zeros(len(x), dtype=np.int64))[:, 0])

    for i in range(4):
        masks = torch.as_tensor(various_masks((12,), 40, 3, i))

        def perturb(x: torch.Tensor, masks: torch.Tensor = masks) -> tuple[torch.Tensor, torch.Tensor]:
            return masks.double(), torch.where(masks, 0.0, x)

        x, values = torch.as_tensor(judged.inputs[i : i + 1]), torch.as_tensor(maps[i : i + 1])
        own = captum_infidelity(model, perturb, x, values, n_perturb_samples=40, normalize=True)
        changes = model(x) - model(torch.where(masks, 0.0, x))
        assert found[i] == pytest.approx(float(own[0] / (changes**2).mean()), rel=1e-9)


def test_a_map_that_says_nothing_has_the_worst_values() -> None:
    judged, _ = linear_judged()
    empty = {"zero": np.zeros((6, 12))}
    np.testing.assert_array_equal(sensitivity_n(empty, judged, ZERO, [3], 10, 0)["zero"], 0.0)
    np.testing.assert_allclose(infidelity(empty, judged, ZERO, 10, 0)["zero"], 1.0, rtol=1e-12)
    assert relative_infidelity(np.array([1.0, -1.0]), np.array([1.0, 1.0])) == pytest.approx(1.0)


def test_a_model_that_never_changes_judges_nothing() -> None:
    judged, contributions = linear_judged()
    still = Judged(judged.inputs, judged.targets, lambda x, o: np.ones((len(x), 2)), False, judged.numbers)
    assert np.isnan(sensitivity_n({"map": contributions}, still, ZERO, [3], 10, 0)["map"]).all()
    assert np.isnan(infidelity({"map": contributions}, still, ZERO, 10, 0)["map"]).all()


def test_subsets_have_their_size_and_depend_on_the_sample_alone() -> None:
    assert subset_sizes(1000) == [1, 4, 14, 55, 210, 800]
    assert subset_sizes(2) == [1, 2]
    masks = subset_masks(30, 7, 400, 0, 4)
    np.testing.assert_array_equal(masks.sum(axis=1), 7)
    # each unit is as likely as any other
    assert stats.chisquare(masks.sum(axis=0)).pvalue > 1e-3
    np.testing.assert_array_equal(subset_masks(30, 7, 400, 0, 4), masks)
    assert not np.array_equal(subset_masks(30, 7, 400, 0, 5), masks)


def test_parts_of_images_are_squares_of_many_sizes() -> None:
    masks = various_masks((1, 12, 16), 200, 0, 1).reshape(200, 12, 16)
    sides = []
    for mask in masks:
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        assert len(rows) == len(columns) == np.ptp(rows) + 1 == np.ptp(columns) + 1
        assert mask.sum() == len(rows) ** 2
        sides.append(len(rows))
    assert set(sides) == set(range(1, 7))
    sizes = various_masks((9,), 300, 0, 1).sum(axis=1)
    assert set(sizes) == set(range(1, 10))
