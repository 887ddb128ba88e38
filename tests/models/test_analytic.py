import numpy as np
import pytest
import torch

from igc.data.planted_voxels import RESPONSE_NOISE, voxel_plan
from igc.data.simulated import images, masks, rule
from igc.data.simulated_voxels import voxels_and_responses
from igc.errors import ModelError
from igc.models import build_architecture
from igc.models.analytic import SHARPNESS
from igc.models.architectures import FlatLinear

EXPERIMENTS = {"weighted_sum": 1, "maximum": 1, "noisy_pair": 1, "permuted": 4}


@pytest.mark.parametrize("experiment", EXPERIMENTS)
@pytest.mark.parametrize("size", [32, 64])
def test_the_module_is_the_rule_that_made_the_responses(experiment: str, size: int) -> None:
    values = images(0, np.arange(20), size)
    expected = rule(experiment, values) * (SHARPNESS if experiment == "permuted" else 1.0)
    module = build_architecture(experiment, (1, size, size), EXPERIMENTS[experiment])
    outputs = module(torch.from_numpy(values[:, None])).detach().numpy()
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_the_gradient_is_finite_on_a_blank_image(experiment: str) -> None:
    module = build_architecture(experiment, (1, 32, 32), EXPERIMENTS[experiment])
    x = torch.zeros(1, 1, 32, 32, requires_grad=True)
    (slope,) = torch.autograd.grad(module(x).sum(), x)
    assert torch.isfinite(slope).all()


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_pixels_outside_the_masks_do_not_matter(experiment: str) -> None:
    module = build_architecture(experiment, (1, 32, 32), EXPERIMENTS[experiment])
    inside = np.any([mask != 0 for mask in masks(experiment, 32).values()], axis=0)
    values = images(1, np.arange(3), 32)
    changed = np.where(inside, values, 9.0).astype(np.float32)
    before, after = (module(torch.from_numpy(v[:, None])) for v in (values, changed))
    assert torch.equal(before, after)
    assert experiment == "weighted_sum" or not inside.all()


def test_experiment_a_is_a_linear_model_with_the_mask_as_weights() -> None:
    module = build_architecture("weighted_sum", (1, 32, 32), 1)
    assert isinstance(module, FlatLinear)
    np.testing.assert_allclose(
        module.readout.weight.detach().numpy().reshape(32, 32), masks("weighted_sum", 32)["weights"], rtol=1e-6
    )


@pytest.mark.parametrize(("shape", "n_targets"), [((1, 32, 40), 1), ((2, 32, 32), 1), ((1024,), 1), ((1, 32, 32), 2)])
def test_other_inputs_and_targets_are_refused(shape: tuple[int, ...], n_targets: int) -> None:
    with pytest.raises(ModelError, match="use it with its own simulated study"):
        build_architecture("maximum", shape, n_targets)


def test_the_rule_of_the_voxels_predicts_as_well_as_can_be_and_no_correction_helps() -> None:
    voxels, responses = voxels_and_responses(4, np.arange(6000), 16)
    outputs = build_architecture("fmri", (32,), 2)(torch.from_numpy(voxels.astype(np.float32))).numpy().astype(float)
    plan = voxel_plan(16)
    covered = plan.weights(plan.sum_signal) @ plan.loading @ plan.field_covariance @ plan.sum_signal
    expected = np.sqrt(covered / (1 + RESPONSE_NOISE**2))
    assert np.corrcoef(outputs[:, 0], responses[:, 0])[0, 1] == pytest.approx(expected, abs=0.015)
    # the error of a conditional mean has nothing to do with any function of the voxels
    errors = responses - outputs
    errors -= errors.mean(axis=0)
    for features in (voxels, voxels**2, voxels[:, :16] * voxels[:, 16:]):
        scaled = (features - features.mean(axis=0)) / features.std(axis=0)
        assert np.abs(scaled.T @ errors / len(errors) / errors.std(axis=0)).max() < 5 / np.sqrt(len(errors))


@pytest.mark.parametrize(("shape", "targets"), [((30,), 2), ((1, 8, 8), 2), ((32,), 1), ((24,), 2)])
def test_voxels_of_another_study_are_refused(shape: tuple[int, ...], targets: int) -> None:
    with pytest.raises(ModelError, match="multiple of 8"):
        build_architecture("fmri", shape, targets)
