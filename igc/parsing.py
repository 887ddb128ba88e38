"""From text to values to checked blocks: the first problem pydantic finds becomes one line that names the key."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from igc.errors import ConfigError, explain

__all__ = ["conditional", "parse", "read_text", "read_yaml"]

MANUAL = "config/README.md describes every key"


def _walk(values: Any, location: Iterable[str | int]) -> list[str]:
    """Return the keys of a problem's location that stand in the file; pydantic adds the names of union members."""
    path: list[str] = []
    for part in location:
        if isinstance(values, dict) and part not in values:
            member = values.get("kind") == part or part == "[key]"
        else:
            member = not isinstance(values, dict | list) or (isinstance(values, list) and isinstance(part, str))
        if member:
            continue
        known: Iterable[Any] = range(len(values)) if isinstance(values, list) else values
        values = values[part] if part in known else None
        path.append(str(part))
    return path


def _member(node: Any, definitions: Mapping[str, Any], values: Any) -> dict[str, Any]:
    """Return the schema of one block, with references followed and the member of a tagged union chosen."""
    while "$ref" in node or "discriminator" in node:
        reference = node["$ref"] if "$ref" in node else node["discriminator"]["mapping"][values["kind"]]
        node = definitions[reference.rsplit("/", 1)[-1]]
    return dict(node)


def _allowed_keys(kind: Any, values: Any, path: list[str]) -> list[str]:
    """Return the keys that the block holding the last key of ``path`` may have."""
    schema = TypeAdapter(kind).json_schema()
    definitions = schema.get("$defs", {})
    node = _member(schema, definitions, values)
    for part in path[:-1]:
        values = values[part]
        named = node.get("patternProperties", {}).values()
        node = node.get("properties", {}).get(part) or next(iter(named), None) or node["additionalProperties"]
        node = _member(node, definitions, values)
    return sorted(node.get("properties", {}))


def _shorten(text: str) -> str:
    return text if len(text) < 120 else text[:117] + "..."


def _is_quoted_number(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        float(value)
    except ValueError:
        return False
    return True


def _unknown_key(kind: Any, values: Any, path: list[str]) -> tuple[str, str, str]:
    keys = _allowed_keys(kind, values, path)
    near = difflib.get_close_matches(path[-1], keys, n=1)
    remedy = f"write {near[0]!r}" if near else "remove the key"
    return f"the unknown key {path[-1]!r}", f"one of {', '.join(keys)}", remedy


def _describe(problem: Any, complaints: Iterable[str], kind: Any, values: Any, path: list[str]) -> tuple[str, str, str]:
    """Return the value seen, the value allowed and the remedy of one problem."""
    category, value = problem["type"], problem.get("input")
    message = ", or ".join(dict.fromkeys(text.removeprefix("Input should be ") for text in complaints))
    if category == "missing":
        return "nothing", "a value, as this key is required", "add the key"
    if category == "extra_forbidden":
        return _unknown_key(kind, values, path)
    if category == "union_tag_invalid":
        return f"the kind {problem['ctx']['tag']!r}", f"one of {problem['ctx']['expected_tags']}", "correct the kind"
    if category == "union_tag_not_found":
        return "no kind", "a block with the key 'kind'", "add the key"
    if category == "value_error" and isinstance(value, dict):
        return "a contradiction", message.removeprefix("Value error, "), "make the keys agree"
    remedy = "correct the key"
    if _is_quoted_number(value):
        remedy = "write the number without quotes, and 1e-3 as 1.0e-3 or 0.001"
    return _shorten(repr(value)), message.removeprefix("Value error, "), remedy


def parse(kind: Any, values: object, where: str) -> Any:
    """Check plain values, as read from YAML or JSON, against a type.

    Parameters
    ----------
    kind : type
        A pydantic class or an annotated union.
    values : object
        Mappings, lists, texts and numbers.
    where : str
        The file they come from, for the message.

    Returns
    -------
    object
        An instance of ``kind``.

    Raises
    ------
    ConfigError
        For the first problem; the message names the path of the key and says how many more there are.
    """
    # through JSON, because its strict mode takes lists for tuples but no quoted numbers: as the JSON schema does
    text = json.dumps(values, default=str)
    try:
        return TypeAdapter(kind).validate_json(text, strict=True)
    except ValidationError as error:
        problems = error.errors()
        plain = json.loads(text)
    path = _walk(plain, problems[0]["loc"])
    same = [problem["msg"] for problem in problems if _walk(plain, problem["loc"]) == path]
    seen, allowed, remedy = _describe(problems[0], same, kind, plain, path)
    more = len(problems) - len(same)
    count = f" ({more} more problem{'s' if more > 1 else ''})" if more else ""
    place = ".".join(path) or "the whole file"
    raise ConfigError(explain(f"{where}: {place}", seen, allowed, f"{remedy}{count}; {MANUAL}"))


class _Loader(yaml.SafeLoader):
    """Refuses a key that is given twice: plain YAML keeps the last one and says nothing."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Return a mapping as it stands in the file, before others are merged into it."""
        node = super().compose_mapping_node(anchor)
        known: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in known:
                    raise yaml.constructor.ConstructorError(None, None, f"the key {key.value!r} twice", key.start_mark)
                known.add(key.value)
        return node


def read_yaml(text: str, where: str) -> object:
    """Return the values of a YAML text.

    Raises
    ------
    ConfigError
        If it is not valid, or gives a key twice.
    """
    try:
        return _Loader(text).get_single_data()
    except yaml.YAMLError as error:
        raise ConfigError(explain(where, error, "valid YAML with each key once", "correct the file")) from error


def read_text(file: Path) -> str:
    """Return the text of a file.

    Raises
    ------
    ConfigError
        If it is not in UTF-8.
    """
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(explain(file, f"no UTF-8 text ({error})", "YAML in UTF-8", "save it as UTF-8")) from error


def conditional(node: Any) -> Any:
    """Turn pydantic's tagged ``oneOf`` into if/then, so that a validator can name the key at fault.

    Parameters
    ----------
    node : object
        A JSON schema, or any part of one.

    Returns
    -------
    object
        The same with conditions in place of unions.
    """
    if isinstance(node, list):
        return [conditional(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {key: conditional(value) for key, value in node.items()}
    tags: Mapping[str, Any] = node.pop("discriminator", {})
    if "patternProperties" in node:
        node["additionalProperties"] = False
    if "mapping" in tags:
        node.pop("oneOf")
        key = tags["propertyName"]
        node["required"] = [key]
        node["properties"] = {key: {"enum": sorted(tags["mapping"])}}
        node["allOf"] = [
            {"if": {"properties": {key: {"const": value}}, "required": [key]}, "then": {"$ref": reference}}
            for value, reference in sorted(tags["mapping"].items())
        ]
    return node
