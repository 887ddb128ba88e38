import shutil
from pathlib import Path

import pytest

from tests.workflow.snakes import ROOT, TINY, snakemake


def copy_checkout(folder: Path) -> Path:
    """Copy what a run needs, with the tiny study as its configuration."""
    ignored = shutil.ignore_patterns("__pycache__", "samples")
    for name in ("igc", "workflow", "envs"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    (folder / "profiles").symlink_to("workflow/profiles")
    shutil.copy(ROOT / "Snakefile", folder)
    (folder / "config").mkdir()
    shutil.copy(TINY, folder / "config" / "config.yaml")
    return folder


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copied checkout in which a run has finished, with a stub in the place of the package's command line."""
    folder = copy_checkout(tmp_path_factory.mktemp("checkout"))
    shutil.copy(Path(__file__).parent / "stub.py", folder / "igc" / "__main__.py")
    snakemake("--cores", "2", folder=folder)
    return folder
