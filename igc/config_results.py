"""Further results that a configuration may ask for: receptive fields of a study, and groups of studies."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from pydantic import Field, model_validator

from igc.block import Block, Name

__all__ = ["FieldSettings", "GroupSettings", "check_fields", "check_groups", "check_named"]


class FieldSettings(Block):
    """Receptive fields of the targets of an encoder, from its maps over images, and localisers from its categories."""

    models: list[Name] = Field([], description="from the maps of these models; default: of none")
    methods: list[Name] | None = Field(None, description="only from maps by these methods; default: by all")
    channels: list[int] | None = Field(
        None, min_length=1, description="channels whose maps are summed, from 0; default: all that are no categories"
    )
    categories: dict[str, int] = Field(
        {}, description="channels that show where something is, by its name; the sum of each over space is a localiser"
    )
    field_of_view: float | None = Field(
        None,
        gt=0,
        description="width of the images in degrees of visual angle; default: what the data say",
    )

    @model_validator(mode="after")
    def _channel_numbers(self) -> FieldSettings:
        if min([*(self.channels or []), *self.categories.values()], default=0) < 0:
            raise ValueError("channels are counted from 0")
        return self


class GroupSettings(Block):
    """Studies whose ROI tables become one: the same analysis of several subjects."""

    studies: list[Name] = Field(min_length=2, description="the studies, one a subject")
    title: str = Field("", description="one line for the report")
    missing_regions: bool = Field(
        False, description="allow regions that some of the subjects lack; others are averaged. Default: refuse"
    )

    @model_validator(mode="after")
    def _each_once(self) -> GroupSettings:
        if len(set(self.studies)) < len(self.studies):
            raise ValueError("a study is named twice")
        return self


def check_named(where: str, named: Collection[str] | None, known: Collection[str]) -> None:
    """Refuse names that are not among those that a configuration defines.

    Parameters
    ----------
    where : str
        The key that names them, for example ``fields.models``; its last part says what they are.
    named : collection of str or None
        The names; None: nothing is named.
    known : collection of str
        What there is.

    Raises
    ------
    ValueError
        If a name is unknown.
    """
    for name in named or []:
        if name not in known:
            raise ValueError(f"{where} names {name!r}, but the {where.rpartition('.')[2]} are {sorted(known)}")


def check_fields(fields: FieldSettings, models: Collection[str], methods: Collection[str]) -> None:
    """Refuse receptive fields from models or methods that a study does not have; see :func:`check_named`."""
    check_named("fields.models", fields.models, models)
    check_named("fields.methods", fields.methods, methods)


def check_groups(groups: Mapping[str, GroupSettings], studies: Collection[str]) -> None:
    """Refuse groups of studies that are not there.

    Parameters
    ----------
    groups : mapping of str to GroupSettings
        Groups by name.
    studies : collection of str
        Names of the studies.

    Raises
    ------
    ValueError
        If a group names another study, or a study has the name of the folder of groups.
    """
    for key, group in groups.items():
        check_named(f"groups.{key}.studies", group.studies, studies)
    if groups and "groups" in studies:
        raise ValueError("a study cannot be called 'groups' beside groups of studies: they share the folder of results")
