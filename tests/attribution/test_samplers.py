"""Samplers on data they have not seen: likelihood, moments, files; and the network that fills patches."""

import json

import numpy as np
import pytest
import torch

from igc.attribution.information.blocks import patch_blocks, single_blocks
from igc.attribution.information.files import StoredSampler, load_sampler, save_sampler
from igc.attribution.information.infill import neighbour_infill
from igc.attribution.information.patches import PatchFiller
from igc.attribution.information.plain import ResamplingSampler
from igc.attribution.information.quality import energy_score, measure_quality
from igc.attribution.information.samplers import PLAIN, fit_plain
from igc.errors import MethodError, ModelError
from igc.models.patch_sampler import PatchSampler

ALL = torch.arange(3)


def correlated(n, d=6, seed=0):
    random = np.random.default_rng(seed)
    root = np.random.default_rng(9).normal(size=(d, d))
    return random.normal(size=(n, d)) @ root + 2.0


@pytest.mark.parametrize("kind", ["gaussian", "neighbours"])
def test_a_sampler_that_looks_at_the_rest_beats_the_marginal_on_new_samples(kind):
    sampler, peer = fit_plain(kind, correlated(800)), fit_plain("marginal", correlated(800))
    found = measure_quality(sampler, peer, single_blocks([(6,)]), torch.as_tensor(correlated(200, seed=1)), 0)
    assert found.energy < 0.9 * found.energy_marginal
    if kind == "gaussian":
        assert found.gain > 10 * found.gain_se > 0
    else:
        assert np.isnan(found.gain)


def test_the_likelihood_of_a_gaussian_is_that_of_its_conditional_distribution():
    from scipy.stats import multivariate_normal

    x = correlated(300)
    sampler = fit_plain("gaussian", x)
    held, block = sampler.prepare(torch.as_tensor(x[:3])), np.array([1, 4])
    given, alone = sampler.log_likelihood(held, block)
    centre, covariance = sampler.conditional(held, ALL, block)
    expected = [multivariate_normal(c, covariance).logpdf(row[block]) for c, row in zip(centre, x[:3], strict=True)]
    np.testing.assert_allclose(given, expected, rtol=0, atol=1e-9)
    deviation = np.sqrt(sampler.variance[block].numpy())
    parts = [multivariate_normal(sampler.mean[b], s**2).logpdf(x[:3, b]) for b, s in zip(block, deviation, strict=True)]
    np.testing.assert_allclose(alone, np.sum(parts, axis=0), rtol=0, atol=1e-9)


def test_a_covariance_of_independent_samples_is_shrunk_by_the_formula():
    from sklearn.covariance import LedoitWolf

    x = correlated(40)
    standard = (x - x.mean(axis=0)) / x.std(axis=0)
    expected = LedoitWolf().fit(standard).covariance_ * x.std(axis=0) * x.std(axis=0)[:, None]
    sampler = fit_plain("gaussian", x)
    np.testing.assert_allclose(np.linalg.inv(sampler.precision), expected, rtol=1e-9)


def test_samples_that_repeat_each_other_in_groups_are_shrunk_more_and_so_likelier_when_held_out():
    random = np.random.default_rng(0)

    def runs(n):
        return (random.normal(size=(n, 1, 40)) + 0.3 * random.normal(size=(n, 25, 40))).reshape(-1, 40)

    x, new = runs(12), torch.as_tensor(runs(60))
    groups, block = np.repeat(np.arange(12), 25), np.array([3])
    likely = []
    for given in (None, groups):
        sampler = fit_plain("gaussian", x, groups=given)
        likely.append(float(sampler.log_likelihood(sampler.prepare(new), block)[0].mean()))
    assert likely[1] > likely[0] + 0.1


def test_neighbours_are_those_whose_rest_is_closest():
    x = correlated(200)
    sampler = fit_plain("neighbours", x, neighbours=5)
    new, block = torch.as_tensor(correlated(3, seed=4)), np.array([2])
    uniform = (torch.arange(5) + 0.5).div(5).expand(3, 5)[..., None].double()
    drawn = sampler.fill(sampler.prepare(new), ALL, block, uniform)[..., 0].numpy()
    rest = np.setdiff1d(np.arange(6), block)
    scaled = x / x.std(axis=0)
    for i in range(3):
        distance = ((scaled[:, rest] - (new[i].numpy() / x.std(axis=0))[rest]) ** 2).sum(axis=1)
        assert sorted(drawn[i]) == sorted(x[np.argsort(distance)[:5], 2])


def test_a_sample_is_not_its_own_neighbour():
    x = correlated(50)
    sampler = fit_plain("neighbours", x, neighbours=49, own=True)
    uniform = (torch.arange(49) + 0.5).div(49).expand(3, 49)[..., None].double()
    drawn = sampler.fill(sampler.prepare(torch.as_tensor(x[:3])), ALL, np.array([0]), uniform)[..., 0].numpy()
    for i in range(3):
        assert sorted(drawn[i]) == sorted(np.delete(x[:, 0], i))


def test_the_energy_score_is_that_of_its_definition():
    random = np.random.default_rng(0)
    fills, truth = random.normal(size=(2, 5, 3)), random.normal(size=(2, 3))
    for i in range(2):
        near = np.mean([np.linalg.norm(f - truth[i]) for f in fills[i]])
        apart = np.mean([np.linalg.norm(fills[i, a] - fills[i, b]) for a in range(5) for b in range(5) if a != b])
        found = energy_score(torch.as_tensor(fills), torch.as_tensor(truth))[i]
        np.testing.assert_allclose(found, near - apart / 2)


# --- the network ----------------------------------------------------------------------------------------------------


def network(within=True, channels=1, patch=2, levels=3, seed=0):
    torch.manual_seed(seed)
    made = PatchSampler(channels, patch, levels, filters=6, within=within)
    made.set_levels(torch.rand(30, channels, 8, 8))
    return made.eval().requires_grad_(False)


def every_patch(levels, size):
    return torch.as_tensor(np.stack(np.meshgrid(*[np.arange(levels)] * size), axis=-1).reshape(-1, size))


@pytest.mark.parametrize("within", [True, False])
@pytest.mark.parametrize(("channels", "patch"), [(1, 2), (2, 1), (1, 1)])
def test_probabilities_of_all_patches_sum_to_one_and_draws_follow_them(within, channels, patch):
    made = network(within, channels, patch)
    image = torch.rand(1, channels, 8, 8)
    place = torch.tensor([3])
    window = made.window(made.surround(image), place, place)
    patches = every_patch(3, made.size)
    log = made.log_probability(window.expand(len(patches), -1, -1, -1), patches).sum(dim=1)
    np.testing.assert_allclose(log.exp().sum(), 1.0, rtol=0, atol=1e-5)
    uniform = torch.as_tensor(np.random.default_rng(0).random((1, 20000, made.size)))
    drawn = made.draw(window, uniform)[0]
    number = (drawn * 3 ** torch.arange(made.size)).sum(dim=1)
    mine = (patches * 3 ** torch.arange(made.size)).sum(dim=1)
    share = torch.bincount(number, minlength=3**made.size)[mine] / 20000
    np.testing.assert_allclose(share, log.exp(), rtol=0, atol=0.016)


def test_what_is_in_the_patch_does_not_reach_its_own_distribution():
    made = network(channels=2, patch=3)
    images = torch.rand(1, 2, 8, 8).repeat(2, 1, 1, 1)
    images[1, :, 4:7, 1:4] = torch.rand(2, 3, 3)
    windows = made.window(made.surround(images), torch.tensor([4, 4]), torch.tensor([1, 1]))
    torch.testing.assert_close(windows[0], windows[1], rtol=0, atol=0)
    images[1, 0, 3, 2] += 1
    changed = made.window(made.surround(images), torch.tensor([4, 4]), torch.tensor([1, 1]))
    assert not torch.equal(made.context(changed)[0], made.context(changed)[1])


@pytest.mark.parametrize("patch", [1, 2, 3, 4, 5, 8])
def test_patches_of_any_side_are_filled_anywhere_in_the_image(patch):
    made = network(channels=1, patch=patch, levels=4)
    filler = PatchFiller.of(made, torch.rand(20, 1, 8, 8))
    blocks = patch_blocks([(1, 8, 8)], patch)
    held = filler.prepare(torch.rand(3, 64))
    for block in (blocks.members[0], blocks.members[-1]):
        values = filler.fill(held, ALL, block, torch.rand(3, 4, patch**2).double())
        assert values.shape == (3, 4, patch**2)
        assert np.isin(values, made.values).all()


def test_patches_filled_together_are_those_filled_one_by_one():
    images = torch.rand(20, 2, 7, 6)
    images[:, :, 0] = 0.5
    made = network(channels=2, patch=3, levels=4)
    filler = PatchFiller.of(made, images)
    blocks = np.stack(patch_blocks([(2, 7, 6)], 3).members)[[0, 7, 19]]
    held, uniform = filler.prepare(images[:3].flatten(1)), torch.rand(3, 5, 18).double()
    together = filler.fill(held, ALL, blocks, uniform)
    for i, block in enumerate(blocks):
        alone = filler.fill(held, torch.tensor([i]), block, uniform[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone, rtol=0, atol=0)
    assert (together[0, :, :3] == 0.5).all()


def test_a_black_background_is_met_exactly():
    images = torch.zeros(40, 1, 6, 6)
    images[:, :, 2:4, 2:4] = torch.rand(40, 1, 2, 2)
    made = network(levels=5)
    made.set_levels(images)
    assert made.values[0, 0] == 0.0
    filler = PatchFiller.of(made, images)
    corner = patch_blocks([(1, 6, 6)], 2).members[0]
    filled = filler.fill(filler.prepare(images[:3].flatten(1)), ALL, corner, torch.rand(3, 9, 4).double())
    np.testing.assert_array_equal(filled, 0.0)


def test_a_trained_network_that_draws_pixels_jointly_is_likelier_than_one_that_draws_each_alone():
    """Patches are black or white as a whole at random, which only the pixels drawn before can tell."""
    random = np.random.default_rng(0)
    images = torch.as_tensor(np.kron(random.integers(0, 2, (256, 1, 4, 4)), np.ones((2, 2))), dtype=torch.float32)
    likely = {}
    for within in (True, False):
        made = network(within, levels=2)
        made.set_levels(images)
        made.requires_grad_(True)
        optimizer = torch.optim.AdamW([p for p in made.parameters() if p.is_floating_point()], lr=0.02)
        for _ in range(40):
            place = torch.as_tensor(2 * random.integers(0, 4, (2, 256)))
            windows = made.window(made.surround(images), *place)
            patches = torch.stack([x[0, r : r + 2, c : c + 2] for x, r, c in zip(images, *place, strict=True)])
            loss = -made.log_probability(windows, made.quantize(patches.flatten(1))).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        likely[within] = -float(loss.detach())
    assert likely[False] < -0.6  # log 2 is all one can know about a pixel by itself
    assert likely[True] > -0.3  # and a quarter of it about one in a patch


# --- files ----------------------------------------------------------------------------------------------------------

DESCRIPTION = {"input_shape": [6], "seed": 0, "samples": "abc", "settings": {}, "fitting": []}


@pytest.mark.parametrize("kind", PLAIN)
def test_a_sampler_read_back_draws_the_same(kind, tmp_path):
    fitted = [fit_plain(kind, correlated(60, seed=k)) for k in range(2)]
    save_sampler(tmp_path / "s", fitted, DESCRIPTION)
    x, uniform = torch.as_tensor(correlated(3, seed=5)), torch.rand(3, 7, 6).double()
    block = np.array([1, 3])
    for fold, sampler in enumerate(fitted):
        uniform = uniform[..., : sampler.width(2)]
        expected = sampler.fill(sampler.prepare(x), ALL, block, uniform)
        for again in (load_sampler(tmp_path / "s", fold), StoredSampler(str(tmp_path / "s"), fold)):
            torch.testing.assert_close(again.fill(again.prepare(x), ALL, block, uniform), expected, rtol=0, atol=0)


def test_a_network_read_back_draws_the_same(tmp_path):
    images = torch.rand(20, 1, 8, 8)
    filler = PatchFiller.of(network(), images)
    save_sampler(tmp_path / "s", [filler], {**DESCRIPTION, "input_shape": [1, 8, 8]})
    again = load_sampler(tmp_path / "s")
    flat, uniform, block = images[:3].flatten(1), torch.rand(3, 5, 4).double(), np.array([9, 10, 17, 18])
    expected = filler.fill(filler.prepare(flat), ALL, block, uniform)
    torch.testing.assert_close(again.fill(again.prepare(flat), ALL, block, uniform), expected, rtol=0, atol=0)


def test_damaged_files_are_refused(tmp_path):
    save_sampler(tmp_path / "s", [fit_plain("gaussian", correlated(60))], DESCRIPTION)
    file = tmp_path / "s" / "sampler.json"
    description = json.loads(file.read_text())
    for change in ({"kind": "wizard"}, {"kind": "patch"}, {"folds": "one"}):
        file.write_text(json.dumps({**description, **change}))
        with pytest.raises(ModelError):
            load_sampler(tmp_path / "s")
    file.write_text(json.dumps(description))
    with pytest.raises(ModelError, match="fold 3"):
        load_sampler(tmp_path / "s", 3)


def test_too_many_components_for_a_covariance_are_refused():
    with pytest.raises(MethodError, match="4096"):
        fit_plain("gaussian", np.zeros((2, 5000)))


def test_components_that_never_vary_keep_their_constant():
    x = correlated(40)
    x[:, 2] = 7.0
    for kind in ("gaussian", "marginal", "neighbours"):
        sampler = fit_plain(kind, x)
        assert sampler.constant[2] == 7.0
        assert sampler.constant[[0, 1, 3]].isnan().all()
        uniform = torch.rand(3, 4, 2).double()[..., : sampler.width(2)]
        values = sampler.fill(sampler.prepare(torch.as_tensor(x[:3])), ALL, np.array([1, 2]), uniform)
        np.testing.assert_array_equal(values[..., 1], 7.0)
        assert isinstance(ResamplingSampler.of(torch.as_tensor(x)), ResamplingSampler)


def test_missing_parts_are_filled_in_from_the_sample_whose_rest_is_closest():
    random = np.random.default_rng(0)
    bank, inputs = random.normal(size=(30, 2, 4)), random.normal(size=(3, 2, 4))
    missing, which = random.random((5, 2, 4)) < 0.4, np.array([0, 1, 2, 2, 0])
    missing[0] = False
    filled = neighbour_infill(bank)(inputs)(missing, which)
    for gone, i, found in zip(missing, which, filled, strict=True):
        distance = [((b - inputs[i]) ** 2)[~gone].sum() for b in bank]
        expected = np.where(gone, bank[np.argmin(distance)], inputs[i])
        np.testing.assert_array_equal(found, expected)
