"""Small datasets in the original formats, made once for all tests here."""

from pathlib import Path

import pytest

from igc.data.nsd.make import Recipe, make_nsd

SMALL = Recipe(sessions=(2, 1), image_size=24, shared=60, vertices=110, seed=4)


@pytest.fixture(scope="session")
def small(tmp_path_factory) -> Path:
    """All spaces, two subjects with two sessions and one."""
    root = tmp_path_factory.mktemp("small") / "nsd"
    make_nsd(root, SMALL)
    return root


@pytest.fixture(scope="session")
def ordinary(tmp_path_factory) -> Path:
    """Volumes of two subjects with three sessions and two."""
    root = tmp_path_factory.mktemp("ordinary") / "nsd"
    make_nsd(root, Recipe(spaces=("func1pt8mm",)))
    return root
