"""Layer-wise Relevance Propagation with the epsilon rule (Bach et al. 2015), through captum."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from igc.attribution.gradients import Inputs, Outputs, flatten
from igc.attribution.problem import Rows
from igc.attribution.standard.layered import check_graph, is_sum, layers_of, own_copy, raw_module
from igc.errors import MethodError, explain

__all__ = ["EpsilonLrp"]

NAME = "lrp_epsilon"


@dataclass(frozen=True)
class EpsilonLrp:
    """The output handed down layer by layer, to each input of a neuron by its share of the neuron's sum.

    Weighted sums take captum's epsilon rule, the standardisation of inputs too, whose shift counts as a bias; layers
    that act on each component by itself hand on what they get. What biases get is lost to the map.

    Attributes
    ----------
    epsilon : float
        Added to the size of each sum, so that small sums are not blown up.
    """

    epsilon: float = 1e-9

    def __post_init__(self) -> None:
        value = self.epsilon
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < float("inf"):
            raise MethodError(explain("epsilon", repr(value), "a number above 0", "correct it"))

    @staticmethod
    def check(outputs: Outputs) -> None:
        """Refuse a model with parts that have no rule.

        Raises
        ------
        MethodError
            Naming the part, and what to do.
        """
        check_graph(NAME, raw_module(NAME, outputs))

    def evaluations(self, n_samples: int) -> int:
        """Return the number of samples that relevance is handed down for."""
        return n_samples

    def attribute(self, outputs: Outputs, inputs: Inputs, rows: Rows) -> Tensor:
        """Return the maps of a batch, (batch, target, component)."""
        from captum.attr import LRP  # a second that only users of the method wait for

        model = own_copy(raw_module(NAME, outputs))
        points = tuple(x.detach().clone().requires_grad_() for x in inputs)
        with torch.no_grad():
            n_outputs = model(*points).shape[1]
        maps = []
        for target in range(n_outputs) if outputs.targets is None else outputs.targets:
            self._set_rules(model)  # captum takes them off after each call
            maps.append(flatten(LRP(model).attribute(points, target=target)).detach())
        return torch.stack(maps, dim=1)

    def _set_rules(self, model: nn.Module) -> None:
        from captum.attr._utils.lrp_rules import EpsilonRule, IdentityRule

        for _, layer in layers_of(model):
            layer.rule = (EpsilonRule if is_sum(layer) else IdentityRule)(self.epsilon)
