"""The block of the configuration that describes a study on the Natural Scenes Dataset."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from igc.block import Block, Name

__all__ = ["NsdData", "NsdRecipe"]


class NsdRecipe(Block):
    """Small files in the formats of the Natural Scenes Dataset, made for a study: see `igc make-nsd`."""

    sessions: list[Annotated[int, Field(ge=1, le=40)]] = Field(
        [3, 2], min_length=1, max_length=8, description="sessions of each subject; as many subjects as numbers"
    )
    image_size: int = Field(32, ge=16, le=425, description="height and width of the images in pixels")
    shared: int = Field(100, ge=2, description="images that all subjects see")
    vertices: int = Field(320, ge=100, description="vertices of a hemisphere")
    spaces: list[Literal["func1pt8mm", "func1mm", "nativesurface", "fsaverage"]] = Field(
        ["func1pt8mm"], min_length=1, description="where responses are"
    )
    versions: list[Literal["b1", "b2", "b3"]] = Field(
        ["b3"], min_length=1, description="how single-trial responses were estimated"
    )


class NsdData(Block):
    """The Natural Scenes Dataset, or files of its formats: from responses to image statistics, or the other way."""

    kind: Literal["nsd"]
    folder: str = Field(description="holds nsddata, nsddata_betas and nsddata_stimuli, as the dataset's bucket does")
    source: Literal["folder", "download", "simulated"] = Field(
        "folder",
        description="'folder': the files are there; 'download': fetch those the study reads into the folder; "
        "'simulated': make small files of known responses there",
    )
    recipe: NsdRecipe = Field(NsdRecipe(), description="with 'simulated': what is made")
    terms_accepted: bool = Field(
        False, description="you have accepted the terms of use at naturalscenesdataset.org; 'download' needs it"
    )
    bucket: str = Field(
        "https://natural-scenes-dataset.s3.us-east-2.amazonaws.com",
        pattern="^https?://",
        description="with 'download': address of the bucket, or of a copy that speaks the protocol of S3",
    )
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
    ceiling_floor: float = Field(
        10.0,
        ge=0,
        lt=100,
        description="with 'responses': components whose noise ceiling (percent of the variance) is not above it count "
        "as noise and get no normalised score",
    )
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

    @model_validator(mode="after")
    def _part_of_the_recipe(self) -> NsdData:
        made = {
            "subject": range(1, len(self.recipe.sessions) + 1),
            "space": self.recipe.spaces,
            "version": self.recipe.versions,
        }
        for key, there in made.items():
            if self.source == "simulated" and getattr(self, key) not in there:
                raise ValueError(f"{key} is {getattr(self, key)!r}, but the recipe makes {', '.join(map(str, there))}")
        return self
