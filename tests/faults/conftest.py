from pathlib import Path

import pytest

from tests.faults.studies import write_study


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("good") / "study")
