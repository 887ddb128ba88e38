"""How maps are judged: a block of the configuration of a study."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from igc.block import Block, Name

__all__ = ["Yardsticks"]


class Yardsticks(Block):
    """How the maps of a study are judged by what the model does when parts of its input are taken away."""

    models: list[Name] | None = Field(None, description="judge only the maps of these models; default: of all")
    samples: int = Field(64, ge=0, description="held-out samples on which every method is judged; 0: none")
    steps: int = Field(10, ge=2, description="steps of the insertion and deletion curves")
    references: list[Literal["zero", "mean", "blurred", "infill"]] | None = Field(
        None,
        min_length=1,
        description="what stands in for parts that are taken away: 'zero', 'mean', 'blurred' (images), or 'infill', "
        "those of the training sample whose rest is closest; default: all that there are",
    )
    subsets: int = Field(72, ge=12, description="random subsets a sample, for Sensitivity-N and infidelity")
    scored: int = Field(128, ge=0, description="held-out samples on which deletion of the dataset's map is scored")
    randomized: int = Field(3, ge=0, description="samples explained again under randomised weights; 0: none")
    retrained: int = Field(0, ge=0, description="samples on which models are retrained without the best parts; 0: none")
    retrain_model: Literal["linear", "network"] = Field(
        "linear", description="what is retrained: ridge regression, or a small network"
    )
    retrain_seeds: int = Field(3, ge=2, description="models retrained for each share of parts")
    retrain_epochs: int = Field(8, ge=1, description="passes over the samples of a retrained network")
