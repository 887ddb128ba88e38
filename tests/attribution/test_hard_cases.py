"""Few samples, rare classes, heavy tails, weak and shuffled targets: no bias, no blow-up, honest errors."""

import numpy as np
import pytest
import torch

import igc
from igc.testing.closed_forms import data_baseline_igc
from igc.testing.probes import smooth_network

SEEDS = 40


def few(n):
    def case(random):
        model = smooth_network(4, 2, seed=2)
        inputs = random.normal(size=(n, 4)) + 0.3 * random.exponential(size=(n, 1))
        clean = predictions(model, inputs)
        return model, inputs, clean + 0.5 * clean.std(axis=0) * random.normal(size=clean.shape)

    return case


def rare_class(random):
    """Three samples of 500."""
    model = smooth_network(4, 3, seed=2)
    labels = np.repeat([0, 1, 2], [3, 100, 397])
    return model, random.normal(size=(500, 4)) + 0.8 * np.eye(4)[labels], np.eye(3)[labels]


def noisy(noise):
    def case(random):
        model, inputs, _ = few(100)(random)
        clean = predictions(model, inputs)
        return model, inputs, clean + clean.std(axis=0) * noise(random, clean.shape)

    return case


def shuffled(random):
    model, inputs, responses = few(100)(random)
    return model, inputs, random.permutation(responses)


def predictions(model, inputs):
    with torch.no_grad():
        return model(torch.as_tensor(inputs)).numpy()


CASES = {
    "5 samples": few(5),
    "8 samples": few(8),
    "20 samples": few(20),
    "a rare class": rare_class,
    "heavy tails": noisy(lambda random, shape: random.standard_t(2, size=shape)),
    "a weak target": noisy(lambda random, shape: 8 * random.normal(size=shape)),
    "a shuffled target": shuffled,
}


@pytest.mark.parametrize("name", CASES)
def test_the_map_has_no_bias_and_does_not_blow_up(name):
    model, inputs, responses = CASES[name](np.random.default_rng(5))
    expected = data_baseline_igc(model, inputs, responses, nodes=10)
    results = [igc.attribute(model, (inputs, responses), points=4, seed=s, progress=False) for s in range(SEEDS)]
    maps = np.stack([r["attribution"].values for r in results])
    claims = np.stack([r["estimator_error"].values for r in results])
    errors = maps - expected
    z = errors.mean(axis=0) / (errors.std(axis=0, ddof=1) / np.sqrt(SEEDS))
    assert np.abs(z).max() < 4
    size = np.linalg.norm(expected, axis=1)
    assert (np.linalg.norm(maps, axis=2) < 2 * size).all()
    root = np.sqrt((errors**2).sum(axis=(1, 2)).mean())
    assert np.sqrt((errors**2).sum(axis=(1, 2))).max() < 4 * root
    assert 0.75 < root / np.sqrt((claims**2).sum(axis=(1, 2)).mean()) < 1.3
