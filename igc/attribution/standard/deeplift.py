"""DeepLIFT with the rescale rule (arXiv 1704.02685), through captum; with several baselines, DeepSHAP."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from igc.attribution.gradients import Inputs, Outputs, flatten
from igc.attribution.problem import Rows
from igc.attribution.standard.layered import ACTIVATIONS, RowModel, is_known, layers_of, own_copy, raw_module
from igc.errors import MethodError, explain

__all__ = ["DeepLift"]

NAME = "deeplift"
REMEDY = "use integrated_gradients, or write the model with modules for all that is not linear"
POOLING = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)
"""captum's rule for them loses a part (its issue 1276)."""
GAP_SHARE = 3.0
"""Gaps above so many times the square root of the precision, as a share of the map, are no rounding."""


@dataclass(frozen=True)
class DeepLift:
    """Differences from the baseline handed down layer by layer, averaged over shared baselines.

    Attributes
    ----------
    baselines : tuple of torch.Tensor (baseline, ...)
        Reference inputs.
    """

    baselines: Inputs

    @staticmethod
    def check(outputs: Outputs) -> None:
        """Refuse what is no module; raises MethodError."""
        raw_module(NAME, outputs)

    def evaluations(self, n_samples: int) -> int:
        """Return the number of pairs of sample and baseline for so many samples."""
        return n_samples * len(self.baselines[0])

    def attribute(self, outputs: Outputs, inputs: Inputs, rows: Rows) -> Tensor:
        """Return the maps of a batch, (batch, target, component).

        Raises
        ------
        MethodError
            If the maps do not sum to the change of the outputs: the model does something that is no known layer.
        """
        model = own_copy(raw_module(NAME, outputs))
        stop = tuple(x.detach().clone().requires_grad_() for x in inputs)
        explainer = _explainer(model, inputs[0].dtype)
        with torch.no_grad():
            values = model(*stop)
        targets = list(range(values.shape[1]) if outputs.targets is None else outputs.targets)
        total = torch.zeros(())
        for b in range(len(self.baselines[0])):
            start = tuple(x[b].expand_as(y).contiguous() for x, y in zip(self.baselines, inputs, strict=True))
            maps = torch.stack([_attributed(explainer, model, stop, start, target) for target in targets], dim=1)
            with torch.no_grad():
                _check_sums(model, maps, (values - model(*start))[:, targets])
            total = total.to(maps.device) + maps
        return total / len(self.baselines[0])


def _explainer(model: RowModel, dtype: torch.dtype) -> Any:
    from captum.attr import DeepLift as Captum  # a second that only users of the method wait for
    from captum.attr._core.deep_lift import SUPPORTED_NON_LINEAR, nonlinear

    for kind in ACTIVATIONS:  # captum's rule holds for all of them, its table lacks some
        SUPPORTED_NON_LINEAR.setdefault(kind, nonlinear)
    # below it the slope stands for the secant: their rounding errors are then alike
    return Captum(model, eps=float(torch.finfo(dtype).eps) ** 0.5)


def _attributed(explainer: Any, model: RowModel, stop: Inputs, start: Inputs, target: int) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*hooks", category=UserWarning)
        try:
            return flatten(explainer.attribute(stop, start, target=target)).detach()
        except RuntimeError as error:
            if "more than once" not in str(error):
                raise
            raise MethodError(explain(f"{NAME}: model", "a layer called twice", "each layer once", REMEDY)) from error


def _check_sums(model: RowModel, maps: Tensor, change: Tensor) -> None:
    """Refuse maps that do not sum to the change of the outputs, as those of the rescale rule do."""
    allowed = GAP_SHARE * torch.finfo(maps.dtype).eps ** 0.5
    gap, size = float((maps.sum(dim=2) - change).norm()), float(maps.abs().sum(dim=2).norm())
    if gap <= allowed * size:
        return
    unknown = sorted(
        {type(layer).__name__ for _, layer in layers_of(model) if not is_known(layer) or isinstance(layer, POOLING)}
    )
    seen = f"maps that miss the change of the output by {gap / max(size, 1e-30):.1g} of their size"
    if unknown:
        seen += f" (no exact rule for {', '.join(unknown)})"
    raise MethodError(explain(f"{NAME}: model", seen, "layers with a rule, each called once", REMEDY))
