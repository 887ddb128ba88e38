import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from skimage.metrics import structural_similarity as skimage_similarity
from torch import nn

from igc.comparison.randomization import cascade, learned_layers, rank_similarity, structural_similarity
from igc.models.registry import build_architecture


def network() -> nn.Module:
    torch.manual_seed(0)
    return build_architecture("residual_mlp", (30,), 4, {"width": 16}).eval()


def gradient(model: nn.Module) -> np.ndarray:
    x = torch.linspace(-1, 1, 30)[None].requires_grad_()
    model(x)[0, 1].backward()
    assert x.grad is not None
    return x.grad[0].numpy().astype(np.float64)


def test_layers_are_randomised_from_the_last_on_and_stay_so() -> None:
    model = network()
    names, before = learned_layers(model), model.state_dict()
    assert names[0] == "readout"
    changed: set[str] = set()
    for name, randomized in cascade(model, 3):
        changed.add(name)
        for key, value in randomized.state_dict().items():
            layer = key.rpartition(".")[0]
            if layer not in changed:
                assert torch.equal(value, before[key]), (name, key)
        layer = randomized.get_submodule(name)
        if isinstance(layer, nn.Linear):
            assert not torch.equal(layer.weight, before[f"{name}.weight"])
    assert changed == set(names)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_running_statistics_and_those_of_the_inputs_are_kept() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).eval()
    model[1].running_mean.fill_(7.0)  # type: ignore[union-attr]
    *_, (_, last) = cascade(model, 0)
    assert torch.equal(last[1].running_mean, torch.full((4,), 7.0))  # type: ignore[index]


def test_the_map_of_a_random_model_is_unlike_that_of_the_model() -> None:
    model = network()
    with torch.no_grad():
        model.get_submodule("readout").weight.mul_(3)
    similar = []
    for seed in range(20):
        *_, (_, last) = cascade(model, seed)
        similar.append(rank_similarity(gradient(model), gradient(last)))
    assert abs(np.mean(similar)) < 0.2
    assert rank_similarity(gradient(model), gradient(model)) == pytest.approx(1.0)


def test_the_seed_alone_decides_the_weights() -> None:
    model = network()
    torch.manual_seed(1)
    first = [m.state_dict() for _, m in cascade(model, 5)][-1]
    torch.manual_seed(2)
    again, other = ([m.state_dict() for _, m in cascade(model, seed)][-1] for seed in (5, 6))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["readout.weight"], other["readout.weight"])


def test_structure_is_judged_as_by_another_library() -> None:
    random = np.random.default_rng(0)
    a = random.normal(size=(14, 17))
    b = 0.7 * a + 0.4 * random.normal(size=a.shape)
    x, y = a / np.abs(a).max(), b / np.abs(b).max()
    expected = skimage_similarity(x, y, win_size=5, data_range=2.0)
    assert structural_similarity(a, b) == pytest.approx(expected, rel=1e-9)
    assert structural_similarity(a, 5 * a) == pytest.approx(1.0)
    assert structural_similarity(a, np.zeros_like(a)) < 0.2


def test_ranks_are_compared_as_by_another_library() -> None:
    random = np.random.default_rng(0)
    a, b = random.integers(0, 5, 40).astype(float), random.normal(size=40)
    assert rank_similarity(a, b) == pytest.approx(spearmanr(a, b).statistic)
    assert rank_similarity(a, np.ones(40)) == 0.0
