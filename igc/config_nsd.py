"""The block of the configuration that describes a study on the Natural Scenes Dataset."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from igc.block import Block, Name

__all__ = ["NsdData"]


class NsdData(Block):
    """The Natural Scenes Dataset, or files of its formats: from responses to image statistics, or the other way."""

    kind: Literal["nsd"]
    folder: str = Field(description="holds nsddata, nsddata_betas and nsddata_stimuli, as the dataset's bucket does")
    subject: int = Field(1, ge=1, le=8, description="subject")
    space: Literal["func1pt8mm", "func1mm", "nativesurface", "fsaverage"] = Field(
        "func1pt8mm", description="where responses are: volumes of 1.8 or 1 mm, the subject's surface, the average one"
    )
    version: Literal["b1", "b2", "b3"] = Field("b3", description="how single-trial responses were estimated")
    sessions: int | None = Field(None, ge=1, description="only the first so many sessions; default: all that are there")
    mask: str = Field("nsdgeneral", description="ROI set whose labels above 0 are used")
    predict: Literal["statistics", "responses"] = Field(
        "statistics", description="'statistics' of images from responses, or 'responses' from images"
    )
    statistics: list[str] = Field(
        ["luminance", "contrast", "slope"], min_length=1, description="what is predicted of each image"
    )
    transfer: Literal["srgb", "gamma2", "linear"] = Field(
        "srgb", description="from pixels to light: the sRGB curve, the square as on the scanner's display, or none"
    )
    log_luminance: bool = Field(False, description="compute statistics of the logarithm of luminance")
    image_size: int = Field(32, ge=8, le=425, description="with 'responses': height and width of the input in pixels")
    channels: Literal["luminance", "rgb"] = Field("luminance", description="with 'responses': what the input holds")
    average: Literal["image", "trial"] = Field("image", description="one sample an image, averaged over its repeats")
    standardize: Literal["session", "train", "none"] = Field(
        "session",
        description="z-score each voxel within each session by the mean and SD of all its trials, of those of training "
        "images only, or not at all",
    )
    test: Literal["shared1000", "special515", "random", "none"] = Field(
        "shared1000",
        description="held-out images, for split 'given': those that every subject sees, those that every subject saw "
        "three times, a random share, or none",
    )
    test_share: float = Field(0.1, gt=0, lt=1, description="with 'random': the share of the images")
    atlases: dict[Name, str] = Field({}, description="ROI sets of the dataset, by the name they get here")
    divide_hemispheres: bool = Field(False, description="give the regions of both hemispheres names of their own")
    cache: str | None = Field(None, description="folder that keeps converted responses; default: convert each time")

    @model_validator(mode="after")
    def _test_images(self) -> NsdData:
        if self.standardize == "train" and self.test == "none":
            raise ValueError("standardize 'train' needs test images: set test")
        return self
