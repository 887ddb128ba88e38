"""Many bottlenecks optimised in one tensor program; none can tell how many others there are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from igc.attribution.bottleneck.capacity import OPEN, slope
from igc.attribution.bottleneck.noise import NoiseOfSamples
from igc.attribution.bottleneck.spread import Spread

__all__ = ["Adam", "Budget", "Signal", "fit_bottleneck"]

START = 5.0
"""Logit of what passes before the first step: nearly everything."""


class Adam:
    """Adam (arXiv 1412.6980), number by number: the same steps whatever else is in the tensor.

    Parameters
    ----------
    values : torch.Tensor
        Changed in place.
    rate : float
        Step size.
    """

    def __init__(self, values: Tensor, rate: float) -> None:
        self.values, self.rate, self.steps = values, rate, 0
        self.first, self.second = torch.zeros_like(values), torch.zeros_like(values)

    def step(self, gradient: Tensor) -> None:
        """Go one step down."""
        self.steps += 1
        self.first.lerp_(gradient, 0.1)
        self.second.lerp_(gradient**2, 0.001)
        first, second = self.first / (1 - 0.9**self.steps), self.second / (1 - 0.999**self.steps)
        self.values.sub_(self.rate * first / (second.sqrt() + 1e-10))


@dataclass(frozen=True)
class Budget:
    """How hard a bottleneck is optimised.

    Attributes
    ----------
    beta : float
        Weight of the mean information of the components, in nats, against the loss.
    steps : int
        Steps of Adam.
    learning_rate : float
        Their size.
    draws : int
        Draws of noise a step.
    """

    beta: float
    steps: int
    learning_rate: float
    draws: int

    @property
    def evaluations(self) -> int:
        """Gradient points a bottleneck."""
        return self.steps * self.draws


@dataclass(frozen=True)
class Signal:
    """What passes a bottleneck.

    Attributes
    ----------
    values : torch.Tensor (sample, component)
        The signal.
    mean, deviation : torch.Tensor (component,)
        Of the noise that takes its place.
    active : torch.Tensor of bool (component,)
        Components that count; the others pass nothing.
    """

    values: Tensor
    mean: Tensor
    deviation: Tensor
    active: Tensor

    @property
    def standard(self) -> Tensor:
        """The signal minus its mean over its standard deviation, (sample, 1, component)."""
        return ((self.values - self.mean) / self.deviation)[:, None]


def fit_bottleneck(
    loss: Callable[[Tensor], Tensor],
    signal: Signal,
    n_targets: int,
    noise: NoiseOfSamples,
    budget: Budget,
    spread: Spread,
    prior: Tensor | None = None,
) -> Tensor:
    """Find what must pass, for each sample and target, to keep the loss low.

    Minimises E loss(z) + beta * mean over components of the information, z = l x + (1 - l) noise. A component at which
    the loss never had a gradient is one the model does not use: any l > 0 would only cost, so that the optimum is 0,
    which a number of steps could not reach; it is set.

    Parameters
    ----------
    loss : callable
        Maps points (draw, sample, target, component) to losses (draw, sample, target).
    signal : Signal
        What passes.
    n_targets : int
        Bottlenecks a sample.
    noise : NoiseOfSamples
        Standard normal numbers.
    budget : Budget
        How hard to optimise.
    spread : Spread
        From parameters to components.
    prior : torch.Tensor (sample, target, component), optional
        Mask of the prior; default: none.

    Returns
    -------
    torch.Tensor (sample, target, component)
        The share l of each component that passes, spread as it was in the optimisation.
    """
    x, r = signal.values[:, None], signal.standard
    mask: Tensor | float = 0.0 if prior is None else prior
    weight = budget.beta * signal.active.to(x.dtype) / max(1, int(signal.active.sum()))
    logits = x.new_full((len(x), n_targets, spread.n_parameters), START)
    adam, used = Adam(logits, budget.learning_rate), torch.zeros_like(r.expand(-1, n_targets, -1), dtype=torch.bool)
    for step in range(budget.steps):
        shares = logits.sigmoid()
        passed = spread.spread(shares).clamp(max=OPEN)
        drawn = signal.mean + signal.deviation * noise.step(step)[:, :, None]
        difference = x - drawn
        gradient = _gradient(loss, torch.addcmul(drawn, passed, difference))
        used |= (gradient != 0).any(dim=0)
        needed = (gradient * difference).sum(dim=0) + weight * slope(passed, r, mask)
        adam.step(spread.gather(needed) * shares * (1 - shares))
    return spread.spread(logits.sigmoid()).clamp(max=OPEN) * (used & signal.active)


def _gradient(loss: Callable[[Tensor], Tensor], points: Tensor) -> Tensor:
    """Return the gradient of the mean loss over draws, of each sample and target for itself."""
    with torch.enable_grad():
        leaf = points.detach().requires_grad_()
        total = loss(leaf).sum() / len(points)
    if not total.requires_grad:  # a model that ignores its input
        return torch.zeros_like(points)
    (gradient,) = torch.autograd.grad(total, leaf, allow_unused=True, materialize_grads=True)
    return gradient
