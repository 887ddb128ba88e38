"""PMI and information gain against enumeration, closed forms and many draws."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch

import igc
from igc.attribution.information.blocks import patch_blocks, region_blocks
from igc.attribution.information.gaussian import GaussianSampler
from igc.attribution.information.predictive import Categories
from igc.attribution.information.samplers import fit_plain
from igc.errors import MethodError
from igc.testing.probes import InputRecorder, linear_model

OUTCOMES = np.array([[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)], dtype=np.float64)


@dataclass(frozen=True)
class Enumerated:
    """The exact conditional distribution of a joint over three bits."""

    joint: np.ndarray
    constant: torch.Tensor
    kind: ClassVar[str] = "enumerated"
    fixed: ClassVar[bool] = False
    patch: ClassVar[None] = None

    @classmethod
    def of(cls, joint):
        return cls(np.asarray(joint) / np.sum(joint), torch.full((3,), torch.nan, dtype=torch.float64))

    def conditional(self, x, block):
        rest = np.setdiff1d(np.arange(3), block)
        weight = self.joint * (OUTCOMES[:, rest] == x[rest]).all(axis=1)
        return weight / weight.sum()

    def width(self, size):
        return 1

    def prepare(self, inputs):
        return inputs

    def fill(self, held, rows, block, uniform):
        fills = []
        for x, u in zip(held[rows].numpy(), uniform[..., 0].numpy(), strict=True):
            which = np.searchsorted(np.cumsum(self.conditional(x, block))[:-1], u, side="right")
            fills.append(OUTCOMES[which][:, block])
        return torch.as_tensor(np.stack(fills))

    def to(self, device):
        return self


def softmax(raw):
    raised = np.exp(raw - raw.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def bits(n, joint, seed=0):
    random = np.random.default_rng(seed)
    x = OUTCOMES[random.choice(8, n, p=joint / joint.sum())]
    return x, np.eye(3)[random.integers(0, 3, n)]


def attribute(model, samples, method, **options):
    return igc.attribute(model, samples, method, progress=False, **options)


JOINT = np.array([5.0, 1, 2, 3, 1, 4, 2, 6])
WEIGHTS = np.array([[2.0, -1.0, 0.5], [0.0, 1.5, -1.0], [-1.0, 0.3, 1.2]])


def exact_maps(x, sampler, blocks):
    """PMI (sample, class, block) and gain (sample, block) by enumeration."""
    p, every = softmax(x @ WEIGHTS.T), softmax(OUTCOMES @ WEIGHTS.T)
    pmi = np.zeros((len(x), 3, len(blocks)))
    for i, row in enumerate(x):
        for b, block in enumerate(blocks):
            pmi[i, :, b] = np.log(p[i]) - np.log(sampler.conditional(row, block) @ every)
    return pmi, np.einsum("nk,nkb->nb", p, pmi)


@pytest.mark.parametrize("features", [None, np.array([0, 0, 1])])
def test_a_discrete_joint_is_met_as_enumerated(features):
    x, y = bits(60, JOINT)
    sampler = Enumerated.of(JOINT)
    blocks = [[0], [1], [2]] if features is None else [[0, 1], [2]]
    pmi, gain = exact_maps(x, sampler, [np.array(b) for b in blocks])
    sizes = np.array([len(b) for b in blocks])
    spread = np.repeat(np.arange(len(blocks)), sizes)
    common = {"sampler": sampler, "draws": 1024}
    common |= {} if features is None else {"features": features}
    for method, exact in (("pmi", pmi.mean(axis=0)), ("information_gain", gain.mean(axis=0)[None].repeat(3, axis=0))):
        result = attribute(linear_model(WEIGHTS), (x, y), method, summary="mean", **common)
        expected = (exact / sizes)[:, spread]
        error = result["estimator_error"].values
        assert (error < 0.01).all()
        np.testing.assert_allclose(result["attribution"], expected, rtol=0, atol=5 * error.max() + 1e-4)


def test_the_gain_is_the_class_weighted_mean_of_the_pmi():
    x, y = bits(60, JOINT)
    model = linear_model(WEIGHTS)
    x, y = x[:1].repeat(40, axis=0), y[:40]
    options = {"sampler": Enumerated.of(JOINT), "draws": 16}
    pmi = attribute(model, (x, y), "pmi", summary="mean", **options)["attribution"].values
    gain = attribute(model, (x, y), "information_gain", **options)["attribution"].values
    np.testing.assert_allclose(softmax(x[:1] @ WEIGHTS.T) @ pmi, gain[:1], rtol=0, atol=1e-12)


def test_the_exact_gain_is_never_negative_and_the_estimate_is_so_only_within_its_error():
    x, y = bits(60, JOINT)
    _, gain = exact_maps(x, Enumerated.of(JOINT), [np.array([i]) for i in range(3)])
    assert gain.min() >= 0
    result = attribute(linear_model(WEIGHTS * 0.02), (x, y), "information_gain", sampler=Enumerated.of(JOINT), draws=16)
    assert (result["attribution"] > -4 * result["estimator_error"]).all()


def test_a_block_that_the_rest_determines_gives_exactly_nothing():
    twin = JOINT * (OUTCOMES[:, 0] == OUTCOMES[:, 1])
    x, y = bits(60, twin)
    result = attribute(linear_model(WEIGHTS), (x, y), "information_gain", sampler=Enumerated.of(twin))
    np.testing.assert_array_equal(result["attribution"][:, :2], 0.0)
    assert (result["attribution"][:, 2] > 0.01).all()


def test_own_class_and_class_means_are_means_over_their_samples():
    x, y = bits(300, JOINT)
    sampler = Enumerated.of(JOINT)
    pmi, _ = exact_maps(x, sampler, [np.array([i]) for i in range(3)])
    result = attribute(linear_model(WEIGHTS), (x, y), "pmi", sampler=sampler, draws=512, max_draws=2048)
    expected = np.stack([pmi[y[:, k] == 1, k].mean(axis=0) for k in range(3)])
    np.testing.assert_allclose(result["attribution"], expected, rtol=0, atol=0.02)
    own = (pmi * y[:, :, None]).sum(axis=1).mean(axis=0)
    np.testing.assert_allclose(result["true_response"], own[None].repeat(3, axis=0), rtol=0, atol=0.02)


# --- the linear-Gaussian case ---------------------------------------------------------------------------------------


def gaussian_case(n, seed=0, d=5):
    random = np.random.default_rng(seed)
    root = random.normal(size=(d, d)) / 2 + np.eye(d)
    mean, covariance = random.normal(size=d), root @ root.T
    weights = random.normal(size=(2, d))
    weights[:, 3] = 0
    x = random.multivariate_normal(mean, covariance, n)
    noise = np.array([0.7, 1.4])
    y = x @ weights.T + 0.3 + noise * random.normal(size=(n, 2))
    return mean, covariance, weights, x, y


def test_the_gaussian_sampler_has_the_moments_of_the_conditional_distribution():
    mean, covariance, _, x, _ = gaussian_case(4)
    sampler = GaussianSampler.of_moments(mean, covariance)
    held = sampler.prepare(torch.as_tensor(x))
    for block in (np.array([1]), np.array([0, 2, 4])):
        rest = np.setdiff1d(np.arange(5), block)
        gain = covariance[np.ix_(block, rest)] @ np.linalg.inv(covariance[np.ix_(rest, rest)])
        centre, spread = sampler.conditional(held, torch.arange(4), block)
        np.testing.assert_allclose(centre, mean[block] + (x[:, rest] - mean[rest]) @ gain.T, rtol=0, atol=1e-10)
        expected = covariance[np.ix_(block, block)] - gain @ covariance[np.ix_(rest, block)]
        np.testing.assert_allclose(spread, expected, rtol=0, atol=1e-10)
        uniform = torch.as_tensor(np.random.default_rng(0).random((4, 20000, len(block))))
        drawn = sampler.fill(held, torch.arange(4), block, uniform).numpy()
        np.testing.assert_allclose(drawn.mean(axis=1), centre, rtol=0, atol=0.05)
        np.testing.assert_allclose(np.cov(drawn[0].T), expected.squeeze(), rtol=0.1, atol=0.03)


@pytest.mark.parametrize("features", [None, np.array([0, 0, 1, 2, 1])])
def test_the_gain_averages_to_the_conditional_mutual_information_of_a_linear_gaussian_model(features):
    mean, covariance, weights, x, y = gaussian_case(1500)
    labels = np.arange(5) if features is None else features
    residual = ((y - (x @ weights.T + 0.3)) ** 2).mean(axis=0)
    options = {} if features is None else {"features": features}
    sampler = GaussianSampler.of_moments(mean, covariance)
    model = linear_model(weights, 0.3)
    found = {
        name: attribute(model, (x, y), name, sampler=sampler, draws=32, **options)
        for name in ("information_gain", "pmi")
    }
    precision = np.linalg.inv(covariance)
    for label in np.unique(labels):
        block = np.flatnonzero(labels == label)
        inner = np.linalg.inv(precision[np.ix_(block, block)])
        variance = np.einsum("ki,ij,kj->k", weights[:, block], inner, weights[:, block])
        expected = 0.5 * np.log(1 + variance / residual)
        for result in found.values():
            total = result["attribution"][:, block].sum("voxel")
            error = np.sqrt(result["standard_error"] ** 2 + result["estimator_error"] ** 2)[:, block].sum("voxel")
            np.testing.assert_array_less(abs(total - expected), 4 * error + 1e-12)
    np.testing.assert_array_equal(found["pmi"]["attribution"][:, 3] if features is None else 0.0, 0.0)


def test_a_voxel_that_another_repeats_hides_behind_it():
    mean, covariance, weights, x, y = gaussian_case(200)
    twice = np.array([0, 1, 2, 3, 4, 1])
    doubled = covariance[np.ix_(twice, twice)] + 1e-9 * np.eye(6)
    sampler = GaussianSampler.of_moments(mean[twice], doubled)
    result = attribute(
        linear_model(weights[:, twice] / [1, 2, 1, 1, 1, 2]), (x[:, twice], y), "information_gain", sampler=sampler
    )
    assert float(abs(result["attribution"][:, [1, 5]]).max()) < 1e-6
    assert float(result["attribution"][:, 0].max()) > 0.01


# --- bias and error -------------------------------------------------------------------------------------------------


def test_the_floor_of_the_logarithm_of_a_mean_is_taken_off():
    """With few draws the plain estimate is too large by var / (2 n p^2); what is left must be far smaller."""
    x, y = bits(1000, JOINT)
    sampler = Enumerated.of(JOINT)
    exact = exact_maps(x, sampler, [np.array([i]) for i in range(3)])[0].mean(axis=0)
    p, every = softmax(x @ WEIGHTS.T), softmax(OUTCOMES @ WEIGHTS.T)
    floor = np.zeros((3, 3))
    for i in range(3):
        chance = np.stack([sampler.conditional(row, np.array([i])) for row in x])
        mean = chance @ every
        floor[:, i] = ((chance @ every**2 - mean**2) / (2 * 16 * mean**2)).mean(axis=0)
    result = attribute(linear_model(WEIGHTS), (x, y), "pmi", sampler=sampler, summary="mean", draws=16)
    off = abs(result["attribution"].values - exact)
    assert floor.max() > 0.01
    assert p.shape == y.shape
    np.testing.assert_array_less(off, 0.2 * floor + 4 * result["estimator_error"].values)


@pytest.mark.parametrize("method", ["pmi", "information_gain"])
@pytest.mark.parametrize("draws", [16, 64])
def test_the_error_of_a_map_is_within_its_reported_error_as_often_as_it_should_be(method, draws):
    random = np.random.default_rng(3)
    x = random.normal(size=(25, 6)) @ (np.eye(6) + 0.4 * random.normal(size=(6, 6)))
    model = torch.nn.Sequential(
        linear_model(random.normal(size=(8, 6))), torch.nn.Tanh(), linear_model(np.ones((4, 8)))
    )
    with torch.no_grad():
        model[2].weight.copy_(torch.as_tensor(random.normal(size=(4, 8)) * 0.5))
    y = np.eye(4)[random.integers(0, 4, 25)]
    sampler = fit_plain("gaussian", x)
    reference = attribute(model, (x, y), method, sampler=sampler, draws=4096, max_draws=8192, seed=99)
    inside = []
    for seed in range(20):
        result = attribute(model, (x, y), method, sampler=sampler, draws=draws, seed=seed)
        off = result["attribution"].values - reference["attribution"].values
        inside.append(abs(off) / np.hypot(result["estimator_error"], reference["estimator_error"]).values)
    z = np.concatenate(inside, axis=None)
    # of a t distribution with seven degrees of freedom: 0.649 and 0.95
    assert 0.54 < np.mean(z < 1) < 0.76
    assert 0.90 < np.mean(z < 2.365) < 0.99


@pytest.mark.parametrize(("scale", "shift"), [(1, 1), (4, 2), (8, 2)])
def test_the_error_holds_where_few_fills_make_a_class_likely(scale, shift):
    """What 64 draws show by themselves is within its quantile 0.92, 0.77 and 0.71 of the time."""
    random, predictive, pairs, draws, z = torch.Generator().manual_seed(2), Categories(), 150, 64, []

    def statistics(original, n):
        hit = torch.rand(pairs, n, 1, generator=random) < 0.3
        raw = original[:, None] + hit * torch.randn(pairs, n, 6, generator=random).double() * shift
        return predictive.statistics(raw.flatten(0, 1), original.repeat_interleave(n, dim=0)).reshape(pairs, n, 4, 6)

    for _ in range(2):
        original = torch.randn(pairs, 6, generator=random).double() * scale
        replicates = statistics(original, draws).reshape(pairs, -1, 8, 4, 6).mean(dim=1)
        truth = -torch.log1p(statistics(original, 4000)[:, :, 0].mean(dim=1))
        number = torch.full((pairs,), float(draws))
        loss = predictive.pmi(original, truth, replicates.mean(dim=1), replicates, number)
        z.append((loss.value - truth).abs() / loss.variance().sqrt())
    assert 0.60 < float((torch.cat(z) < 1).double().mean()) < 0.72
    assert 0.90 < float((torch.cat(z) < 2.365).double().mean()) < 0.98


def test_a_block_of_which_no_other_fill_was_met_has_an_error_and_one_that_the_model_ignores_has_none():
    joint = np.array([1, 1, 1, 1, 1e-9, 1e-9, 1e-9, 1e-9])
    x, y = bits(30, joint)
    result = attribute(linear_model(WEIGHTS), (x, y), "information_gain", sampler=Enumerated.of(joint), draws=16)
    error = result["estimator_error"].values[0]
    np.testing.assert_array_equal(result["attribution"][:, 0], 0.0)
    assert 0 < error[0] < 0.3 * error[1:].min()
    deaf, even = linear_model(WEIGHTS * [0, 1, 1]), np.ones(8)
    for method in ("pmi", "information_gain"):
        ignored = attribute(deaf, bits(30, even), method, sampler=Enumerated.of(even), draws=16)
        np.testing.assert_array_equal(ignored["estimator_error"][:, 0], 0.0)
        np.testing.assert_array_equal(ignored["attribution"][:, 0], 0.0)


def test_one_fill_that_says_all_leaves_no_error():
    x, y = bits(30, JOINT)
    for method in ("pmi", "information_gain"):
        found = attribute(linear_model(WEIGHTS), (x, y), method, sampler="zero")
        np.testing.assert_allclose(found["estimator_error"], 0.0, rtol=0, atol=1e-15)
    p, gone = (np.log(softmax(z @ WEIGHTS.T)) for z in (x, x * [0, 1, 1]))
    expected = (np.exp(p) * (p - gone)).sum(axis=1).mean()
    np.testing.assert_allclose(found["attribution"][:, 0], expected, rtol=1e-10, atol=0)


@pytest.mark.parametrize(("draws", "expected"), [(16, 0.5), (256, 0.25)])
def test_classes_that_so_few_draws_cannot_tell_are_counted(draws, expected):
    random = np.random.default_rng(0)
    x, y = random.normal(size=(40, 3)), np.eye(4)[random.integers(0, 4, 40)]
    model = linear_model(0.1 * random.normal(size=(4, 3)))
    with torch.no_grad():
        # far from one in 16 and one in 256, whatever is filled in
        model.bias.copy_(torch.log(torch.tensor([0.78, 0.2, 0.0199, 0.0001])))
    found = attribute(model, (x, y), "pmi", draws=draws, max_draws=draws)
    assert found.attrs["unresolved"] == expected
    assert "unresolved" not in attribute(model, (x, y), "information_gain", draws=16).attrs


def test_more_draws_go_where_they_matter_and_lower_the_error_at_equal_cost():
    random = np.random.default_rng(5)
    x = random.normal(size=(60, 8))
    weights = np.zeros((3, 8))
    weights[:, :2] = 3 * random.normal(size=(3, 2))
    weights[:, 2:] = 0.02 * random.normal(size=(3, 6))
    y = np.eye(3)[random.integers(0, 3, 60)]
    sampler = fit_plain("gaussian", x)
    model = linear_model(weights)
    even, more = (attribute(model, (x, y), "information_gain", sampler=sampler, draws=n) for n in (16, 64))
    assert more.attrs["points"] < 8 * 100
    variances = [found["estimator_error"].values.max() ** 2 for found in (even, more)]
    assert variances[0] / variances[1] > 1.5 * more.attrs["points"] / even.attrs["points"]


def test_a_tolerance_is_met():
    x, y = bits(80, JOINT)
    options = {"sampler": fit_plain("gaussian", x), "max_draws": 4096}
    for tolerance in (0.1, 0.03):
        result = attribute(linear_model(WEIGHTS), (x, y), "information_gain", tolerance=tolerance, **options)
        norm = np.linalg.norm(result["attribution"][0])
        assert np.linalg.norm(result["estimator_error"][0]) < 1.6 * tolerance * norm


# --- what is computed -----------------------------------------------------------------------------------------------


def test_fills_that_equal_what_they_replace_do_not_reach_the_model():
    x, y = bits(30, JOINT)
    sampler = Enumerated.of(JOINT)
    result = attribute(linear_model(WEIGHTS), (x, y), "pmi", sampler=sampler, draws=16)
    stays = [sampler.conditional(row, np.array([i])) @ (OUTCOMES[:, i] == row[i]) for row in x for i in range(3)]
    expected = 30 + 16 * np.sum(1 - np.array(stays))
    assert abs(result.attrs["evaluations"] - expected) < 4 * np.sqrt(16 * 90 * 0.25)
    assert result.attrs["evaluations"] < 0.8 * 30 * 3 * 16


def test_blocks_that_never_vary_and_hold_their_constant_are_skipped():
    random = np.random.default_rng(0)
    x = random.normal(size=(50, 4))
    x[:, 2] = 1.5
    recorder = InputRecorder(linear_model(random.normal(size=(2, 4))))
    result = attribute(recorder, (x, x[:, :2]), "information_gain", draws=16)
    assert all((seen[:, 2] == 1.5).all() for seen in recorder.seen)
    np.testing.assert_array_equal(result["attribution"][:, 2], 0.0)
    assert result.attrs["evaluations"] == 50 * (1 + 3 * 16)


@pytest.mark.parametrize(("patch", "stride"), [(3, 1), (3, 2), (4, 3), (5, 5)])
def test_every_pixel_is_covered_and_divided_by_how_often(patch, stride):
    blocks = patch_blocks([(2, 7, 9)], patch, stride)
    projection = blocks.projection()
    covered = np.bincount(np.concatenate(blocks.members), minlength=126)
    assert covered.min() >= 1
    np.testing.assert_allclose(projection @ np.ones(len(blocks)), 1.0, rtol=0, atol=1e-12)
    values = np.random.default_rng(0).normal(size=len(blocks))
    slow = [np.mean([values[b] for b, block in enumerate(blocks.members) if c in block]) for c in range(126)]
    np.testing.assert_allclose(projection @ values, slow, rtol=0, atol=1e-12)


def test_a_region_sums_to_its_own_value():
    blocks = region_blocks(np.array([4, 4, 0, 7, 7, 7]))
    values = np.array([1.0, 2.0, 3.0])
    spread = blocks.projection() @ values
    np.testing.assert_allclose([spread[2], spread[:2].sum(), spread[3:].sum()], values)


def test_patches_of_an_image_give_a_map_of_its_shape():
    random = np.random.default_rng(0)
    images = random.random((12, 1, 8, 8))
    model = torch.nn.Sequential(torch.nn.Flatten(), linear_model(random.normal(size=(3, 64)) / 8))
    result = attribute(model, (images, np.eye(3)[random.integers(0, 3, 12)]), "pmi", patch=3, stride=2, draws=16)
    assert result["attribution"].shape == (3, 1, 8, 8)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"patch": 3}, "patch"),
        ({"sampler": "wrong"}, "wrong"),
        ({"draws": 0}, "draws"),
        ({"predictive": "poisson"}, "poisson"),
        ({"draws": 32, "points": 100}, "draws"),
        ({"stride": 2}, "stride"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, named):
    x, y = bits(20, JOINT)
    with pytest.raises(MethodError, match=named):
        attribute(linear_model(WEIGHTS), (x, y), "pmi", **options)


def test_another_sampler_is_not_taken_up_from_the_same_checkpoint(tmp_path):
    _, y = bits(30, JOINT)
    wide = np.random.default_rng(0).normal(size=(30, 40))
    model = linear_model(np.random.default_rng(1).normal(size=(3, 40)))
    samplers = [fit_plain("marginal", wide), fit_plain("marginal", wide + np.eye(30, 40, 20) * 1e-3)]
    for sampler in samplers:
        attribute(model, (wide, y), "pmi", sampler=sampler, draws=16, checkpoint=tmp_path)
    kept = [attribute(model, (wide, y), "pmi", sampler=s, draws=16, checkpoint=tmp_path) for s in samplers]
    fresh = [attribute(model, (wide, y), "pmi", sampler=s, draws=16) for s in samplers]
    for a, b in zip(kept, fresh, strict=True):
        np.testing.assert_array_equal(a["attribution"], b["attribution"])
    assert not np.array_equal(fresh[0]["attribution"], fresh[1]["attribution"])


@pytest.mark.parametrize("method", ["pmi", "information_gain"])
def test_how_the_work_is_cut_changes_nothing(method):
    mean, covariance, weights, x, y = gaussian_case(70)
    options = {"sampler": GaussianSampler.of_moments(mean, covariance), "draws": 48}
    whole = attribute(linear_model(weights, 0.3), (x, y), method, **options)
    for size in (7, 20):
        cut = attribute(linear_model(weights, 0.3), (x, y), method, block_size=size, **options)
        for name in ("attribution", "estimator_error", "standard_error"):
            np.testing.assert_allclose(cut[name], whole[name], rtol=1e-9, atol=1e-12)
        assert cut.attrs["evaluations"] == whole.attrs["evaluations"]
