"""The paper's prior: a generator of noisy inputs and a critic of their features, for every sample, all in one program.

The generator is a mask of the input with a noise mean and deviation for each channel. Its features must look to the
critic like masked features, whose noise has a scale and an offset of its own in each group. The critic is a small
convolutional network (or a perceptron, for features without a layout). Those of all samples run as one: convolutions
in groups, and matrix products in batches.

In the public code of the paper the mask hardly moves: 40 steps of RMSprop at a rate of 0.003 change a logit by 0.4 at
most. The rate is a setting here, with a default at which the mask is learned.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from igc.attribution.bottleneck.capacity import information
from igc.attribution.bottleneck.feature_iba import FeatureBottleneck
from igc.attribution.bottleneck.features import Statistics
from igc.attribution.bottleneck.noise import Noise, NoiseOfSamples
from igc.attribution.bottleneck.optimize import Signal
from igc.attribution.bottleneck.prior import LARGEST_MASK, features_of, start_mask
from igc.attribution.gradients import Inputs, Outputs
from igc.attribution.problem import Rows
from igc.seeding import generator

__all__ = ["Critics", "GanPrior", "RmsProp"]

GROUPS, OFFSET, SCALE = 10, 2.0, 5.0
"""Groups of masked features; their noise has an offset up to 2 and a scale up to 5 standard deviations."""
CRITIC_STEPS, CRITIC_RATE, CLIP = 5, 5e-5, 0.01
MEAN_RATE, DEVIATION_RATE = 0.1, 0.05
HIDDEN = (512, 256)


class RmsProp:
    """RMSprop, number by number."""

    def __init__(self, values: list[Tensor], rates: list[float]) -> None:
        self.values, self.rates = values, rates
        self.squares = [torch.zeros_like(value) for value in values]

    def step(self, gradients: tuple[Tensor, ...]) -> None:
        """Go one step down."""
        for value, square, gradient, rate in zip(self.values, self.squares, gradients, self.rates, strict=True):
            square.lerp_(gradient**2, 0.01)
            value.sub_(rate * gradient / (square.sqrt() + 1e-8))


class Critics:
    """One critic a unit, all with the same first weights.

    Parameters
    ----------
    shape : tuple of int
        Of the features; (channel, row, column) with 4 rows and columns at least are convolved.
    units : int
        Number of critics.
    seed : int
        Of the first weights.
    like : torch.Tensor
        Precision and device.
    """

    def __init__(self, shape: tuple[int, ...], units: int, seed: int, like: Tensor) -> None:
        self.shape, self.units = shape, units
        self.convolved = len(shape) == 3 and min(shape[1:]) >= 4
        random = generator(seed, "critic")
        self.weights: list[Tensor] = []
        size = int(np.prod(shape))
        if self.convolved:
            c = shape[0]
            for given, made, kernel in ((c, 2 * c, 4), (2 * c, 4 * c, 4), (4 * c, c, 3)):
                drawn = random.uniform(-1, 1, (made, given, kernel, kernel)) / np.sqrt(given * kernel**2)
                self.weights.append(self._stacked(drawn, like))
            size = c * (shape[1] // 2 // 2) * (shape[2] // 2 // 2)
        for given, made in zip((size, *HIDDEN), (*HIDDEN, 1), strict=True):
            self.weights.append(self._stacked(random.uniform(-1, 1, (given, made)) / np.sqrt(given), like))

    def _stacked(self, drawn: object, like: Tensor) -> Tensor:
        one = torch.as_tensor(drawn, dtype=like.dtype, device=like.device)
        return one.expand(self.units, *one.shape).clone()

    def __call__(self, features: Tensor, weights: list[Tensor]) -> Tensor:
        """Judge features (draw, unit, feature), (draw, unit)."""
        dense = weights
        if self.convolved:
            image = features.reshape(len(features), self.units * self.shape[0], *self.shape[1:])
            for i, weight in enumerate(weights[:3]):
                stride = 1 if i == 2 else 2
                image = functional.conv2d(image, weight.flatten(0, 1), stride=stride, padding=1, groups=self.units)
                if i < 2:
                    image = functional.batch_norm(image, None, None, training=True) if i == 0 else image
                    image = functional.leaky_relu(image, 0.2)
            features, dense = image.reshape(len(features), self.units, -1), weights[3:]
        hidden = features.transpose(0, 1)
        for i, weight in enumerate(dense):
            hidden = hidden @ weight
            hidden = functional.leaky_relu(hidden, 0.2) if i + 1 < len(dense) else hidden
        return hidden[..., 0].T


@dataclass(frozen=True)
class GanPrior:
    """The mask of a generator whose features a critic cannot tell from masked features.

    Attributes
    ----------
    bottleneck : FeatureBottleneck
        Of the features.
    statistics : Statistics
        Of the input.
    shapes : tuple of tuple of int
        Of the inputs.
    steps : int
        Steps of the generator, each after :data:`CRITIC_STEPS` of the critic.
    draws : int
        Size of a batch.
    learning_rate : float
        Of the mask's logits.
    """

    bottleneck: FeatureBottleneck
    statistics: Statistics
    shapes: tuple[tuple[int, ...], ...]
    steps: int
    draws: int = 32
    learning_rate: float = 0.1

    @property
    def chosen(self) -> dict[str, str | float]:
        """Name of the prior, and its layer."""
        return {"prior": "wgan", "layer": self.bottleneck.layer.name}

    @property
    def evaluations(self) -> int:
        """Gradient points a mask."""
        return self.bottleneck.budget.evaluations + self.steps * (CRITIC_STEPS + 1) * self.draws

    def mask(self, outputs: Outputs, inputs: Inputs, rows: Rows, reference: Tensor) -> Tensor:
        """Return the masks of samples, (sample, map, component)."""
        signal, passed = self.bottleneck.fit(outputs, inputs, rows, reference)
        clean = self.statistics.signal(torch.cat([x.flatten(1) for x in inputs], dim=1))
        like, seed, turns = inputs[0], self.bottleneck.seed, self.steps * CRITIC_STEPS
        nats = information(passed, signal.standard)
        start = start_mask(nats, self.bottleneck.layer.shape, self.shapes).clamp(min=1 - LARGEST_MASK)
        game = _Game(
            self,
            outputs,
            inputs,
            signal,
            passed,
            clean,
            Noise(seed, "generator", clean.values.shape[1], self.draws, turns + self.steps).of(rows, like),
            Noise(seed, "masked features", passed.shape[2], self.draws, turns).of(rows, like),
            _groups(seed, self.draws, turns, like),
        )
        return game.play(start.logit()).clamp(max=LARGEST_MASK)


def _groups(seed: int, draws: int, turns: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Draw offset and scale of the noise of each masked feature of each turn, (turn, draw)."""
    random = generator(seed, "groups of masked features")
    offset, scale = random.uniform(-OFFSET, OFFSET, GROUPS), random.uniform(0, SCALE, GROUPS)
    chosen = random.integers(GROUPS, size=(turns, draws))
    return tuple(torch.as_tensor(x[chosen], dtype=like.dtype, device=like.device) for x in (offset, scale))  # type: ignore[return-value]


@dataclass(frozen=True)
class _Game:
    """Generators and critics of some samples."""

    prior: GanPrior
    outputs: Outputs
    inputs: Inputs
    signal: Signal
    passed: Tensor
    clean: Signal
    generated: NoiseOfSamples
    masked: NoiseOfSamples
    groups: tuple[Tensor, Tensor]

    def play(self, logits: Tensor) -> Tensor:
        """Train, and return the masks."""
        channels, member = self._channels()
        shape = (*logits.shape[:2], channels)
        values = [logits, logits.new_zeros(shape), logits.new_zeros(shape)]
        maker = RmsProp(values, [self.prior.learning_rate, MEAN_RATE, DEVIATION_RATE])
        units, layer = logits.shape[0] * logits.shape[1], self.prior.bottleneck.layer
        critics = Critics(layer.shape, units, self.prior.bottleneck.seed, logits)
        judge = RmsProp(critics.weights, [CRITIC_RATE] * len(critics.weights))
        for step in range(self.prior.steps):
            for turn in range(step * CRITIC_STEPS, (step + 1) * CRITIC_STEPS):
                with torch.no_grad():
                    fake = self._fake(values, self.generated.step(turn), member)
                self._criticize(critics, judge, self._real(turn), fake)
            self._generate(critics, maker, self.generated.step(self.prior.steps * CRITIC_STEPS + step), member)
        return logits.sigmoid()

    def _channels(self) -> tuple[int, Tensor]:
        """Return how many noise means there are (one a channel, or one a component of a vector), and whose is whose."""
        parts, first = [], 0
        for shape in self.prior.shapes:
            size = int(np.prod(shape))
            parts.append(first + np.arange(size) // (size // shape[0]))
            first += shape[0]
        return first, torch.as_tensor(np.concatenate(parts), device=self.passed.device)

    def _fake(self, values: list[Tensor], noise: Tensor, member: Tensor) -> Tensor:
        """Return the features of generated inputs, (draw, unit, feature)."""
        logits, mean, deviation = values
        shifted = mean[..., member] + deviation.exp()[..., member] * noise[:, :, None]
        noisy = self.clean.mean + self.clean.deviation * shifted
        points = torch.lerp(noisy, self.clean.values[:, None].expand_as(noisy), logits.sigmoid())
        features = features_of(self.prior.bottleneck.layer, self.outputs, points, self.inputs)
        return self._standard(features)

    def _real(self, turn: int) -> Tensor:
        """Return masked features, (draw, unit, feature)."""
        offset, scale = (group[turn][:, None, None, None] for group in self.groups)
        noise = self.signal.mean + self.signal.deviation * (offset + scale * self.masked.step(turn)[:, :, None])
        return self._standard(torch.lerp(noise, self.signal.values[:, None].expand_as(noise), self.passed))

    def _standard(self, features: Tensor) -> Tensor:
        return ((features - self.signal.mean) / self.signal.deviation).flatten(1, 2)

    @staticmethod
    def _criticize(critics: Critics, judge: RmsProp, real: Tensor, fake: Tensor) -> None:
        with torch.enable_grad():
            weights = [weight.detach().requires_grad_() for weight in critics.weights]
            loss = (critics(fake, weights) - critics(real, weights)).mean(dim=0).sum()
            judge.step(torch.autograd.grad(loss, weights))
        for weight in critics.weights:
            weight.clamp_(-CLIP, CLIP)

    def _generate(self, critics: Critics, maker: RmsProp, noise: Tensor, member: Tensor) -> None:
        with torch.enable_grad():
            leaves = [value.detach().requires_grad_() for value in maker.values]
            loss = -critics(self._fake(leaves, noise, member), critics.weights).mean(dim=0).sum()
            gradients = torch.autograd.grad(loss, leaves)
        maker.step(gradients)
