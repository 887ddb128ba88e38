"""What is known of visual fields: the width of the images, and receptive fields that were planted into made files."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from igc.data.nsd.layout import Layout
from igc.data.nsd.planted import WIDTH
from igc.data.source import Variable
from igc.errors import DataError, explain

__all__ = ["FIELD_CODES", "FIELD_OF_VIEW", "planted_fields"]

FIELD_OF_VIEW = WIDTH
"""Width of the images on the screen of the scanner, in degrees of visual angle."""

FIELD_CODES = ("luminance", "contrast")
"""What is measured within a receptive field; other planted responses are about the whole image."""

_COLUMNS = ("code", "field_x", "field_y", "field_sd")


def planted_fields(layout: Layout, index: npt.NDArray[np.int64]) -> dict[str, Variable]:
    """Read the receptive fields that :func:`igc.data.nsd.make.make_nsd` planted.

    Parameters
    ----------
    layout : Layout
        Where to look: ``planted/subjXX_<space>.tsv`` beside the dataset's own folders.
    index : array of int (target, axis)
        Which components: x, y, z, or hemisphere and vertex.

    Returns
    -------
    dict of str to Variable
        ``target_field`` (target, property): x to the right and y upwards from the middle of the image, and SD, in
        degrees; NaN where nothing, or nothing of a place, was planted. Empty for the real dataset.

    Raises
    ------
    DataError
        If the table is there and not what it should be.
    """
    path = layout.root / "planted" / f"{layout.name}_{layout.space}.tsv"
    if not path.is_file():
        return {}
    axes = ["hemisphere", "vertex"] if layout.is_surface else ["x", "y", "z"]
    table = pd.read_csv(path, sep="\t", keep_default_na=False)
    missing = [name for name in (*axes, *_COLUMNS) if name not in table]
    if missing:
        remedy = "make the files again with `igc make-nsd`"
        raise DataError(explain(path, f"no column {missing[0]!r}", "the table of what was planted", remedy))
    placed = table[table["code"].isin(FIELD_CODES)].set_index(axes)
    wanted = pd.MultiIndex.from_arrays(list(index.T), names=axes)
    values = placed[["field_x", "field_y", "field_sd"]].reindex(wanted).to_numpy(dtype=np.float64)
    return {
        "target_field": Variable(("target", "property"), values, {"properties": ["x", "y", "sd"], "unit": "degrees"})
    }
