"""Nodes without a network: every rule but the one that fetches runs where no address can be opened.

That they do is shown by the run of :mod:`tests.workflow.test_end_to_end`, which happens in such a place.
"""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

from tests.workflow.offline import block_network
from tests.workflow.snakes import ROOT


def test_where_the_network_is_blocked_no_address_can_be_opened_and_attempts_are_noted(tmp_path: Path) -> None:
    noted = block_network(tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    for host in ("example.org", "192.0.2.1"):
        code = f"import urllib.request; urllib.request.urlopen('http://{host}', timeout=5)"
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 1
        assert "Network is unreachable" in done.stderr or "Temporary failure in name resolution" in done.stderr
        assert host in noted.read_text()


def rules_that(pattern: str) -> set[str]:
    """Return the rules whose text matches a pattern."""
    found = set()
    for file in (ROOT / "workflow" / "rules").glob("*.smk"):
        for part in re.split(r"^rule ", file.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
            if re.search(pattern, part):
                found.add(part.split(":")[0])
    return found


def test_only_the_rule_that_fetches_calls_what_downloads() -> None:
    assert rules_that(r"python -m igc fetch\b") == {"fetch"}
    callers = set()
    for file in (ROOT / "igc").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = {name.name for name in node.names} if isinstance(node, ast.ImportFrom) else set()
            if names & {"fetch_data", "FETCHERS", "fetch_file", "fetch_haxby", "fetch_mnist", "fetch_nsd", "Bucket"}:
                callers.add(file.relative_to(ROOT / "igc").as_posix())
    assert "steps/fetch.py" in callers
    assert {name for name in callers if not name.startswith("data/")} == {"steps/fetch.py"}
