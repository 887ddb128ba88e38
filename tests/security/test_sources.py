"""What the sources of the package may not do: unpickle, evaluate, start a shell, unpack archives."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "igc").rglob("*.py"))

# modules that turn bytes of a file into code, or run programs
FORBIDDEN = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "subprocess", "tarfile", "zipfile", "pty"}
CALLS = {"eval", "exec", "compile", "__import__"}
ATTRIBUTES = {
    "os.system",
    "os.popen",
    "shutil.unpack_archive",
    "pandas.read_pickle",
    "pd.read_pickle",
    "torch.hub.load",
}
UNSAFE_YAML = {"load", "load_all", "full_load", "unsafe_load", "Loader", "UnsafeLoader", "FullLoader"}


def dotted(node: ast.AST) -> str:
    """Return a chain of names as text, such as ``torch.hub.load``."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def keywords(call: ast.Call) -> dict[str, object]:
    return {word.arg or "": getattr(word.value, "value", None) for word in call.keywords}


def wrongs(text: str) -> Iterator[str]:
    """Yield what a source does that it may not."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.split(".")[0] in FORBIDDEN)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in FORBIDDEN:
            yield str(node.module)
        elif isinstance(node, ast.Attribute) and dotted(node) in ATTRIBUTES:
            yield dotted(node)
        elif isinstance(node, ast.Call):
            yield from wrong_calls(node)


def wrong_calls(call: ast.Call) -> Iterator[str]:
    name, words = dotted(call.func), keywords(call)
    if name in CALLS:
        yield name
    elif name == "torch.load" and words.get("weights_only") is not True:
        yield "torch.load without weights_only=True"
    elif name in ("np.load", "numpy.load") and words.get("allow_pickle", False) is not False:
        yield "numpy.load with pickles"
    elif name.startswith("yaml.") and name.removeprefix("yaml.") in UNSAFE_YAML:
        loader = next((dotted(word.value) for word in call.keywords if word.arg == "Loader"), "")
        if name != "yaml.load" or loader not in ("_Loader", "yaml.SafeLoader"):
            yield f"{name}({loader})"
    elif name.endswith(".fit") and "ckpt_path" in words and words.get("weights_only") is not True:
        yield "a checkpoint that is read without weights_only=True"
    elif words.get("shell") is True:
        yield "a shell"


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "import torch; torch.load('x')",
        "import torch; torch.load('x', weights_only=False)",
        "import numpy as np; np.load('x', allow_pickle=True)",
        "import yaml; yaml.load('x', Loader=yaml.Loader)",
        "import yaml; yaml.unsafe_load('x')",
        "import os; os.system('ls')",
        "from subprocess import run",
        "run('ls', shell=True)",
        "trainer.fit(loop, ckpt_path='x')",
        "import shutil; shutil.unpack_archive('x')",
        "eval('1')",
        "import pandas as pd; pd.read_pickle('x')",
    ],
)
def test_what_is_forbidden_is_found(source: str) -> None:
    assert list(wrongs(source))


def test_nothing_is_unpickled_evaluated_unpacked_or_given_to_a_shell() -> None:
    found = {str(file.relative_to(ROOT)): list(wrongs(file.read_text(encoding="utf-8"))) for file in FILES}
    assert len(found) > 200
    assert {file: what for file, what in found.items() if what} == {}


def test_the_only_loader_of_yaml_is_a_safe_one() -> None:
    import yaml

    from igc.errors import ConfigError
    from igc.parsing import _Loader, read_yaml

    assert issubclass(_Loader, yaml.SafeLoader)
    loaders = re.compile(r"^from yaml|\byaml\.(?!safe_dump\b)\w+", re.MULTILINE)
    assert {file.name for file in FILES if loaders.search(file.read_text())} == {"parsing.py"}
    for text in ("!!python/object/apply:os.system ['true']", "a: !!python/name:os.system", "!!python/module:os"):
        with pytest.raises(ConfigError):
            read_yaml(text, "text")


def test_only_the_downloads_open_addresses_and_those_of_digits_are_pinned_by_hashes() -> None:
    network = re.compile(
        r"^\s*(?:import|from) (?:pooch|requests|urllib\.request|urllib3|http|socket|ftplib|aiohttp)\b", re.MULTILINE
    )
    users = {str(file.relative_to(ROOT / "igc")) for file in FILES if network.search(file.read_text(encoding="utf-8"))}
    assert users <= {"data/fetch.py", "data/bucket.py", "data/nsd/fetching.py"}
    from igc.data.fetch import MNIST_SHA256
    from igc.data.mnist import FILES as NAMES

    assert set(MNIST_SHA256) == set(NAMES)
    assert all(re.fullmatch(r"[0-9a-f]{64}", digest) for digest in MNIST_SHA256.values())
