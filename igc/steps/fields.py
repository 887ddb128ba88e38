"""The step that turns the maps of an encoder into receptive fields and localisers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from igc.config_results import FieldSettings
from igc.report.field_maps import field_map_figure
from igc.report.fields import field_figure
from igc.report.places import located_targets
from igc.report.selection import method_label, model_labels
from igc.report.style import save_figure
from igc.roi.field_table import field_table, localiser_table
from igc.steps.shown import open_results
from igc.store.atomic import write_table
from igc.store.outputs import check_folder
from igc.store.samples import open_samples

__all__ = ["fields"]


def fields(samples: Path, attributions: Sequence[Path], settings: FieldSettings, output: Path) -> None:
    """Write the receptive fields of every target, for each result of a study.

    Parameters
    ----------
    samples : Path
        ``samples.zarr`` of images.
    attributions : sequence of Path
        Results, ``<model>/<method>.zarr``.
    settings : FieldSettings
        Which channels, and what they are; which models and methods is for the workflow to choose.
    output : Path
        Folder for ``<model>/<method>.tsv`` (:data:`igc.roi.field_table.FIELD_COLUMNS`), its figure ``.png``, where
        targets have a place in a brain also ``<method>-brain.png``, and where there are categories
        ``<method>-localisers.tsv``.

    Raises
    ------
    ConfigError
        If there is no result.
    DataError, ShapeError, MissingFileError, StoreError
        If an input cannot be read, belongs to another study, or has no maps over images. Nothing is written then.
    """
    check_folder(output)
    dataset = open_samples(samples)
    results = open_results(attributions, dataset)
    shape = (int(dataset["inputs"].shape[-2]), int(dataset["inputs"].shape[-1]))
    tables = {
        key: field_table(one, dataset, settings.channels, settings.categories, settings.field_of_view)
        for key, one in results.items()
    }
    localisers = {key: localiser_table(one, settings.categories) for key, one in results.items() if settings.categories}
    labels, places = model_labels(model for model, _ in results), located_targets(dataset)
    study = str(dataset.attrs.get("title") or dataset.attrs.get("study") or "study")
    for (model, method), table in tables.items():
        title = f"{study} · receptive fields by {method_label(method)}, {labels[model]}"
        write_table(output / model / f"{method}.tsv", table)
        save_figure(field_figure(table, shape, title), output / model / f"{method}.png")
        if places is not None:
            save_figure(field_map_figure(table, places, title), output / model / f"{method}-brain.png")
        if (model, method) in localisers:
            write_table(output / model / f"{method}-localisers.tsv", localisers[model, method])
