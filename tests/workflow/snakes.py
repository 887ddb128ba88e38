"""How the tests run Snakemake."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TINY = Path(__file__).parent / "tiny.yaml"


def snakemake(*arguments: str | Path, folder: Path = ROOT, ok: bool = True) -> str:
    """Run Snakemake in a folder and return all it printed."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONPATH", None)
    command = [sys.executable, "-m", "snakemake", *map(str, arguments)]
    done = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if (done.returncode == 0) != ok:
        raise AssertionError(f"exit status {done.returncode}\n{done.stdout}")
    return done.stdout


def planned(*arguments: str | Path, folder: Path = ROOT) -> dict[str, int]:
    """Return how many jobs of each rule would run; the targets that only gather files are left out."""
    text = snakemake("--dry-run", "--quiet", "rules", *arguments, folder=folder)
    if "Nothing to be done" in text:
        return {}
    table = text.split("Job stats:")[1].split("total")[0]
    counts = {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}
    return {name: count for name, count in counts.items() if name not in {"all", "default"}}
