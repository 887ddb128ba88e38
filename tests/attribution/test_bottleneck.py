"""The bottlenecks against closed forms, grid searches, and against themselves one sample at a time."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import igc
from igc.attribution.bottleneck.capacity import information, slope
from igc.attribution.bottleneck.likelihood import residual_variance
from igc.attribution.bottleneck.methods import default_beta
from igc.attribution.bottleneck.noise import Noise
from igc.attribution.bottleneck.optimize import Adam, Budget, Signal, fit_bottleneck
from igc.attribution.bottleneck.spread import Pixels, Plain, Shared, graph_of
from igc.attribution.gradients import Outputs
from igc.attribution.problem import Problem, group_blocks
from igc.attribution.protocols import Options
from igc.attribution.registry import build
from igc.attribution.scores import Scores, score_unit
from igc.errors import IgcError
from igc.steps.sources import array_source
from igc.testing.probes import linear_model

ROWS = np.arange(6)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.as_tensor(np.random.default_rng(seed).normal(size=shape))


def signal_of(values: Tensor) -> Signal:
    width = values.shape[1]
    return Signal(values, torch.zeros(width).double(), torch.ones(width).double(), torch.ones(width, dtype=torch.bool))


def small_image_network(n_classes: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 36, n_classes)
    ).eval()


def image_problem(
    n: int = 24, model: nn.Module | None = None, dtype: torch.dtype = torch.float32
) -> tuple[Problem, Scores]:
    model = (small_image_network() if model is None else model).to(dtype)
    images = np.random.default_rng(1).normal(size=(n, 1, 12, 12)).astype(np.float32)
    with torch.no_grad():
        logits = model(torch.as_tensor(images).to(dtype)).numpy()
    responses = np.eye(logits.shape[1], dtype=np.float32)[logits.argmax(axis=1)]
    source = array_source((images, responses), 0)[0]
    problem = Problem(Outputs(model), source, group_blocks(None, n), dtype=dtype)
    return problem, score_unit(problem, True, True, 0)


def sample_maps(name: str, problem: Problem, scores: Scores, rows: np.ndarray, **extra: object) -> Tensor:
    method = build(name, problem, scores, Options(extra=extra)).method
    return method.attribute(problem.outputs, problem.load(rows)[0], rows)


# --- what passes ----------------------------------------------------------------------------------------------------


def test_information_is_the_divergence_of_two_gaussians() -> None:
    passed, signal, mask = torch.rand(200).double() * 0.98, normal(200), torch.rand(200).double() * 0.98
    through = torch.distributions.Normal(passed * signal, 1 - passed)
    expected = torch.distributions.Normal(passed * mask * signal, 1 - passed * mask)
    torch.testing.assert_close(information(passed, signal, mask), torch.distributions.kl_divergence(through, expected))


def test_slope_is_the_derivative_of_information() -> None:
    passed = (torch.rand(200).double() * 0.98).requires_grad_()
    signal, mask = normal(200), torch.rand(200).double() * 0.98
    (expected,) = torch.autograd.grad(information(passed, signal, mask).sum(), passed)
    torch.testing.assert_close(slope(passed.detach(), signal, mask), expected)


def test_without_a_mask_the_input_bottleneck_is_the_feature_bottleneck() -> None:
    passed, r = torch.rand(100).double() * 0.98, normal(100)
    feature = -0.5 * (1 + torch.log((1 - passed) ** 2) - (passed * r) ** 2 - (1 - passed) ** 2)
    torch.testing.assert_close(information(passed, r, torch.zeros(100)), feature)


def test_what_the_mask_lets_through_is_free() -> None:
    passed = torch.linspace(0, 0.9, 50).double()
    nearly = information(passed, normal(50), torch.tensor(1 - 1e-9))
    assert float(nearly.abs().max()) < 1e-7


def test_information_is_never_negative_and_finite_when_all_passes() -> None:
    passed = torch.cat([torch.linspace(0, 1, 101).double(), torch.ones(5).double()])[:, None, None]
    values = information(passed, normal(7)[:, None], torch.linspace(0, 0.99, 9).double())
    assert bool(torch.isfinite(values).all())
    assert float(values.min()) >= -1e-12
    assert bool((slope(passed, normal(7)[:, None]) >= -1e-12).all())


@pytest.mark.parametrize("passed", [0.1, 0.5, 0.9])
def test_mean_information_of_a_gaussian_signal_has_its_closed_form(passed: float) -> None:
    drawn = information(torch.tensor(passed).double(), normal(400_000))
    error = float(drawn.std()) / 400_000**0.5
    assert float(drawn.mean()) == pytest.approx(-np.log(1 - passed) - passed + passed**2, abs=5 * error)


# --- from parameters to components ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spread",
    [
        Plain(24),
        Pixels((2, 3, 4), 1.0),
        Shared.of(np.arange(24) % 5, (24,)),
        graph_of(np.array([[0, 1], [1, 2], [2, 0], [5, 9]]), 24),
    ],
    ids=lambda spread: type(spread).__name__,
)
def test_a_spread_keeps_shares_between_nothing_and_all_and_gathers_by_its_transpose(spread) -> None:
    shares, gradient = torch.rand(3, spread.n_parameters).double(), normal(3, 24)
    torch.testing.assert_close(spread.spread(torch.ones_like(shares)), torch.ones(3, 24).double())
    assert float(spread.spread(shares).min()) >= 0
    torch.testing.assert_close((spread.spread(shares) * gradient).sum(), (shares * spread.gather(gradient)).sum())


def test_components_of_a_region_share_a_parameter_and_those_outside_have_their_own() -> None:
    shared = Shared.of(np.array([1, 0, 2, 1, 0]), (5,))
    assert shared.n_parameters == 4
    assert shared.member[0] == shared.member[3]
    assert len(set(shared.member)) == 4


def test_adam_takes_the_steps_of_torch() -> None:
    ours, theirs = normal(5, 3), normal(5, 3).requires_grad_()
    adam, reference = Adam(ours, 0.3), torch.optim.Adam([theirs], lr=0.3, eps=1e-10)
    for step in range(20):
        gradient = normal(5, 3, seed=step + 1)
        adam.step(gradient)
        theirs.grad = gradient.clone()
        reference.step()
    torch.testing.assert_close(ours, theirs.detach())


# --- the optimum ----------------------------------------------------------------------------------------------------


def fit_linear(
    weights: Tensor, values: Tensor, beta: float, steps: int = 300, draws: int = 64, rate: float = 0.1
) -> Tensor:
    """Fit the bottleneck of (w.z - w.x)^2; the noise is that of the method."""
    width = len(weights)

    def loss(points: Tensor) -> Tensor:
        return ((points - values[:, None]) @ weights) ** 2

    noise = Noise(0, "test", width, draws, steps).of(np.arange(len(values)), values)
    budget = Budget(beta, steps, rate, draws)
    return fit_bottleneck(loss, signal_of(values), 1, noise, budget, Plain(width))[:, 0]


def grid_optimum(weights: np.ndarray, r: np.ndarray, beta: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the best shares on a grid, and the value of the objective there, from E loss in closed form."""
    grid = np.linspace(0, 0.999, 500)
    first, second = np.meshgrid(grid, grid, indexing="ij")
    shares = np.stack([first, second])
    missing = 1 - shares
    error = np.einsum("i,iab,i->ab", weights, missing, r) ** 2 + np.einsum("i,iab->ab", weights**2, missing**2)
    nats = -0.5 * (1 + np.log(missing**2) - (shares * r[:, None, None]) ** 2 - missing**2)
    total = error + beta * nats.mean(axis=0)
    best = np.unravel_index(total.argmin(), total.shape)
    return shares[:, best[0], best[1]], total


@pytest.mark.parametrize("beta", [0.3, 1.0])
def test_two_dimensional_linear_problem_agrees_with_a_grid_search(beta: float) -> None:
    weights, values = torch.tensor([1.0, 0.4]).double(), torch.tensor([[0.7, -1.2], [1.5, 0.3]]).double()
    fitted = fit_linear(weights, values, beta).numpy()
    for sample in range(2):
        best, _ = grid_optimum(weights.numpy(), values[sample].numpy(), beta)
        np.testing.assert_allclose(fitted[sample], best, atol=0.03)


def test_a_bottleneck_without_a_price_stays_open() -> None:
    fitted = fit_linear(torch.tensor([1.0, 0.4]).double(), normal(4, 2), beta=0.0, steps=60, draws=4)
    assert float(fitted.min()) > 0.99


def test_a_bottleneck_with_a_high_price_closes() -> None:
    fitted = fit_linear(torch.tensor([1.0, 0.4]).double(), normal(4, 2), beta=1e4, steps=200, draws=4, rate=1.0)
    assert float(fitted.max()) < 0.01


def test_an_ignored_component_is_closed_exactly() -> None:
    fitted = fit_linear(torch.tensor([1.0, 0.0]).double(), normal(4, 2), beta=0.0, steps=5, draws=2)
    assert float(fitted[:, 0].min()) > 0.9
    np.testing.assert_array_equal(fitted[:, 1], 0.0)


def test_a_component_needed_more_passes_more() -> None:
    fitted = fit_linear(torch.tensor([1.0, 0.5, 0.1]).double(), torch.ones(3, 3).double(), beta=1.0)
    assert bool((fitted[:, 0] > fitted[:, 1]).all())
    assert bool((fitted[:, 1] > fitted[:, 2]).all())


def test_residual_variance_is_that_of_a_calibrated_prediction_and_knows_no_scale() -> None:
    inputs = normal(500, 3)
    responses = (inputs @ torch.tensor([[1.0], [2.0], [0.0]]).double() + normal(500, 1, seed=1)).numpy()
    fit = np.linalg.lstsq(inputs.numpy(), responses, rcond=None)[0]
    predicted = inputs.numpy() @ fit

    def variance(scale: float) -> float:
        model = linear_model(scale * fit.T, 0.0)
        source = array_source((inputs.numpy(), responses), 0)[0]
        problem = Problem(Outputs(model), source, group_blocks(None, 500), dtype=torch.float64)
        return float(residual_variance(score_unit(problem, True, True, 0))[0])

    assert variance(1.0) == pytest.approx(float(np.var(responses - predicted)), rel=0.01)
    assert variance(5.0) == pytest.approx(25 * variance(1.0))


def test_price_of_a_nat_is_bounded_for_few_components() -> None:
    assert default_beta(10**6) == 1
    assert default_beta(40) / 40 == pytest.approx(1 / 400)


# --- many samples at a time -----------------------------------------------------------------------------------------


def check_together_and_alone(name: str, problem: Problem, scores: Scores, **extra: object) -> None:
    together = sample_maps(name, problem, scores, ROWS, **extra)
    alone = torch.cat([sample_maps(name, problem, scores, ROWS[i : i + 1], **extra) for i in ROWS])
    turned = sample_maps(name, problem, scores, ROWS[::-1].copy(), **extra).flip(0)
    scale = float(together.abs().max())
    assert scale > 0
    assert float((together - alone).abs().max()) < 1e-4 * scale
    assert float((together - turned).abs().max()) < 1e-4 * scale


@pytest.mark.parametrize(
    ("name", "extra"), [("feature_iba", {}), *(("input_iba", {"prior": p}) for p in ("none", "upsampled", "moment"))]
)
def test_samples_together_give_what_they_give_one_by_one_in_any_order(name: str, extra: dict[str, str]) -> None:
    check_together_and_alone(name, *image_problem(), steps=12, **extra)


def test_generators_and_critics_of_many_samples_do_not_meet() -> None:
    # the game of the two enlarges rounding: in float32 maps differ by some thousandths
    problem, scores = image_problem(dtype=torch.float64)
    check_together_and_alone("input_iba", problem, scores, prior="wgan", prior_steps=2, steps=5)


def test_noise_of_a_sample_does_not_depend_on_the_others() -> None:
    noise, like = Noise(3, "test", 5, 4, 7), torch.zeros(1)
    together, alone = noise.of(np.array([4, 900, 17]), like), noise.of(np.array([17]), like)
    torch.testing.assert_close(together.step(6)[:, 2], alone.step(6)[:, 0])
    assert not torch.equal(together.step(6)[:, 0], together.step(6)[:, 1])
    assert not torch.equal(together.step(6), together.step(5))


def test_noise_is_standard_normal_and_unrelated_between_samples() -> None:
    drawn = torch.stack([Noise(0, "test", 50, 20, 10).of(np.arange(40), torch.zeros(1)).step(t) for t in range(10)])
    assert abs(float(drawn.mean())) < 0.01
    assert float(drawn.std()) == pytest.approx(1, abs=0.01)
    flat = drawn.permute(2, 0, 1, 3).reshape(40, -1)
    between = np.corrcoef(flat)[np.triu_indices(40, 1)]
    assert float(np.abs(between).max()) < 5 / flat.shape[1] ** 0.5


# --- layers ---------------------------------------------------------------------------------------------------------


class Skipping(nn.Module):
    """A network whose input goes past its first layer."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Conv2d(1, 1, 3, padding=1)
        self.last = nn.Linear(144, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Add the layer to its input."""
        return self.last((x + self.inner(x)).flatten(1))


def test_a_layer_that_the_input_goes_past_is_told_apart_and_still_right() -> None:
    problem, scores = image_problem(model=Skipping().eval())
    assert not build("feature_iba", problem, scores, Options(extra={"layer": "inner"})).method.bottleneck.layer.alone
    maps = [sample_maps("feature_iba", problem, scores, ROWS[i:], layer="inner") for i in (0, 3)]
    torch.testing.assert_close(maps[0][3:], maps[1], rtol=1e-4, atol=1e-5)


def test_replacing_features_by_themselves_leaves_the_output() -> None:
    problem, scores = image_problem()
    layer = build("feature_iba", problem, scores, Options()).method.bottleneck.layer
    inputs = problem.load(ROWS)[0]
    features = layer.features(problem.outputs, inputs)
    assert layer.name == "1"
    assert features.shape == (6, 4, 6, 6)
    torch.testing.assert_close(layer.outputs(problem.outputs, inputs)((features.flatten(1),)), problem.outputs(inputs))


def test_an_inactive_feature_gets_nothing() -> None:
    class HalfSilent(nn.Module):
        """A layer whose first half is constant."""

        def forward(self, x: Tensor) -> Tensor:
            """Silence two of four channels."""
            return torch.cat([x[:, :2] * 0 + 3, x[:, 2:]], dim=1)

    model = small_image_network()
    model = nn.Sequential(model[0], HalfSilent(), *model[2:]).eval()
    problem, scores = image_problem(model=model)
    bottleneck = build("feature_iba", problem, scores, Options(extra={"layer": "1"})).method.bottleneck
    outputs, inputs = bottleneck.likelihood.outputs(problem.outputs), problem.load(ROWS)[0]
    reference = bottleneck.likelihood.reference(outputs, inputs, ROWS)
    passed = bottleneck.fit(outputs, inputs, ROWS, reference)[1].reshape(6, 4, -1)
    np.testing.assert_array_equal(passed[:, :2], 0.0)
    assert float(passed[:, 2:].max()) > 0


# --- datasets -------------------------------------------------------------------------------------------------------


def test_map_of_a_class_is_the_mean_over_its_samples() -> None:
    problem, scores = image_problem()
    images = np.stack([problem.source.inputs[0][i] for i in range(24)])
    result = igc.attribute(
        problem.outputs.model, (images, problem.source.responses), "input_iba", steps=10, seed=0, progress=False
    )
    maps = sample_maps("input_iba", problem, scores, np.arange(24), steps=10)[:, 0].double().numpy()
    chosen = problem.source.read_responses(np.arange(24))
    expected = (chosen.T @ maps) / chosen.sum(axis=0)[:, None]
    np.testing.assert_allclose(result["attribution"].values.reshape(3, -1), expected, atol=1e-6)
    np.testing.assert_allclose(result["mean"].values.reshape(3, -1), np.tile(maps.mean(axis=0), (3, 1)), atol=1e-6)
    assert "covariance" in result
    assert (result.attrs["prior"], result.attrs["layer"], result.attrs["beta"]) == ("upsampled", "1", 144 / 400)
    assert not result.attrs["signed"]


def test_every_class_of_every_sample_can_be_explained() -> None:
    problem, scores = image_problem()
    own = sample_maps("input_iba", problem, scores, ROWS, steps=8)
    every = sample_maps("input_iba", problem, scores, ROWS, steps=8, target="all")
    assert every.shape == (6, 3, 144)
    chosen = torch.as_tensor(problem.source.read_responses(ROWS).argmax(axis=1))
    torch.testing.assert_close(every[torch.arange(6), chosen], own[:, 0], rtol=1e-3, atol=1e-4)


def test_regions_pass_as_a_whole() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 5), nn.Tanh(), nn.Linear(5, 2)).double().eval()
    inputs = normal(40, 8).numpy()
    labels = np.array([1, 1, 1, 2, 2, 2, 0, 0])
    result = igc.attribute(
        model,
        (inputs, model(torch.as_tensor(inputs)).detach().numpy() + normal(40, 2, seed=2).numpy()),
        "input_iba",
        rois={"parts": labels},
        share="parts",
        steps=20,
        progress=False,
    )
    maps = result["attribution"].values
    for region in (1, 2):
        inside = maps[:, labels == region]
        np.testing.assert_allclose(inside, inside[:, :1].repeat(3, axis=1))
    assert not np.allclose(maps[:, 6], maps[:, 7])


@pytest.mark.parametrize(
    ("extra", "word"),
    [
        ({"layer": "nowhere"}, "nowhere"),
        ({"layer": "3"}, "laid out"),
        ({"beta": -1.0}, "beta"),
        ({"steps": 0}, "steps"),
        ({"target": "some"}, "target"),
        ({"prior": "best"}, "prior"),
        ({"share": np.zeros(3, int)}, "share"),
        ({"graph": np.array([[0, 999]])}, "graph"),
        ({"graph": np.array([[0, 1]]), "share": np.zeros(3, int)}, "share and graph"),
    ],
)
def test_wrong_options_are_refused_in_a_line(extra: dict[str, object], word: str) -> None:
    problem, scores = image_problem()
    with pytest.raises(IgcError, match=word) as raised:
        build("input_iba", problem, scores, Options(extra=extra))
    assert "\n" not in str(raised.value)
