"""Whatever a user gets wrong ends in one line that helps, and nothing is left behind."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults import bad_data, bad_settings, bad_stores
from tests.faults.studies import content, copied, igc
from tests.faults.wrong import CASES

MODULES = (bad_data, bad_settings, bad_stores)


def check_refusal(error: str, words: list[str]) -> None:
    """Insist on one line that names everything it should."""
    assert error.startswith("error: ")
    assert error.endswith("\n")
    assert error.count("\n") == 1, error
    assert "Traceback" not in error
    assert [word for word in words if word not in error] == [], error
    assert ", allowed is " in error
    assert "; " in error


@pytest.mark.parametrize("name", CASES)
def test_it_is_refused_in_one_line_and_nothing_is_written(name: str, study: Path, tmp_path: Path) -> None:
    place = copied(study, tmp_path)
    arguments, words = CASES[name](place)
    before = content(tmp_path)
    result = igc(*arguments)
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    check_refusal(result.stderr, words)
    assert content(tmp_path) == before


@pytest.mark.parametrize("name", ["truncated_idx", "unknown_key", "corrupt_weights", "damaged_chunk_of_samples"])
def test_a_process_of_its_own_says_the_same(name: str, study: Path, tmp_path: Path) -> None:
    place = copied(study, tmp_path)
    arguments, words = CASES[name](place)
    before = content(tmp_path)
    done = subprocess.run([sys.executable, "-m", "igc", *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    check_refusal(done.stderr, words)
    assert content(tmp_path) == before
