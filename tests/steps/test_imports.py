"""What a job waits for before it begins: a start is most of the time of a small one."""

import subprocess
import sys

import pytest

HEAVY = ("train", "attribute", "yardsticks", "samplers")
LIGHT = ("preprocess", "rois", "aggregate", "compare", "summarize", "report", "explore", "fields", "group", "bids")
NEVER = {"dask", "distributed", "lightning", "sklearn", "nilearn", "himalaya", "captum", "statsmodels"}


@pytest.mark.parametrize(("steps", "left_out"), [(HEAVY, NEVER), (LIGHT, {*NEVER, "torch"})])
def test_steps_import_at_their_start_only_what_all_their_jobs_need(steps: tuple[str, ...], left_out: set[str]) -> None:
    imports = ", ".join(f"igc.steps.{step}" for step in steps)
    code = f"import sys, {imports}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not left_out & set(found)
