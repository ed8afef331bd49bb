"""A `Result` as one JSON document, back again, and the JSON Schema of it; all from the dataclasses themselves."""

from __future__ import annotations

import json
import types
import typing
from dataclasses import MISSING, asdict, fields, is_dataclass
from pathlib import Path
from typing import Any

from sepe.errors import InvalidInputError
from surge.run.result import FORMAT, Result

_PLAIN = {int: "integer", float: "number", str: "string", bool: "boolean", type(None): "null"}


def to_json(result: Result, *, indent: int | None = None) -> str:
    """The document that ``--json`` writes. No figure in it is infinite or NaN."""
    return json.dumps(asdict(result), ensure_ascii=False, allow_nan=False, indent=indent)


def from_json(text: str | bytes, *, source: str = "") -> Result:
    """The result that a document holds; keys that this version does not know are passed over.

    Raises:
        InvalidInputError: it is none, or of a later format; the text names the first place that does not fit.
    """
    try:
        found = json.loads(text)
    except ValueError as exc:
        raise _wrong(f"no JSON: {exc}", source) from exc
    if not isinstance(found, dict) or not isinstance(found.get("format"), int):
        raise _wrong("no result of `sepe surge run`: it has no format", source)
    if found["format"] > FORMAT:
        raise _wrong(f"format {found['format']} is of a later version; this one reads up to {FORMAT}", source)
    result = _read(Result, found, "result", source)
    assert isinstance(result, Result)
    return result


def load(path: Path) -> Result:
    """Read a file that ``--json`` wrote. Raises `InvalidInputError`."""
    try:
        return from_json(path.read_bytes(), source=str(path))
    except OSError as exc:
        raise _wrong(f"cannot be read: {exc.strerror}", str(path)) from exc


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of the document."""
    definitions: dict[str, Any] = {}
    reference = _schema_of(Result, definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Result of sepe surge run",
        **reference,
        "$defs": definitions,
    }


def _wrong(why: str, source: str) -> InvalidInputError:
    return InvalidInputError(
        why, field="result", value=source, hint="Give a file that `sepe surge run … --json FILE` wrote."
    )


def _read(kind: Any, value: Any, place: str, source: str) -> Any:
    """``value`` as the type ``kind``."""
    if is_dataclass(kind):
        return _read_fields(typing.cast(type, kind), value, place, source)
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:
        if value is None and type(None) in inner:
            return None
        return _read(next(one for one in inner if one is not type(None)), value, place, source)
    if origin is tuple and isinstance(value, list):
        return tuple(_read(inner[0], one, f"{place}[{index}]", source) for index, one in enumerate(value))
    if origin is dict and isinstance(value, dict):
        return {str(name): _read(inner[1], one, f"{place}.{name}", source) for name, one in value.items()}
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if origin is None and isinstance(value, kind) and isinstance(value, bool) == (kind is bool):
        return value
    raise _wrong(f"{place} is not what it should be ({kind})", source)


def _read_fields(kind: type, value: Any, place: str, source: str) -> Any:
    if not isinstance(value, dict):
        raise _wrong(f"{place} is no object", source)
    hints, found = typing.get_type_hints(kind), {}
    for one in fields(kind):
        if one.name in value:
            found[one.name] = _read(hints[one.name], value[one.name], f"{place}.{one.name}", source)
        elif one.default is MISSING:
            raise _wrong(f"{place}.{one.name} is missing", source)
    return kind(**found)


def _schema_of(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    if is_dataclass(kind):
        name = typing.cast(type, kind).__name__
        if name not in definitions:
            definitions[name] = {}
            hints = typing.get_type_hints(kind)
            definitions[name] = {
                "type": "object",
                "description": (kind.__doc__ or "").strip(),
                "properties": {one.name: _schema_of(hints[one.name], definitions) for one in fields(kind)},
                "required": [one.name for one in fields(kind) if one.default is MISSING],
            }
        return {"$ref": f"#/$defs/{name}"}
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:
        return {"anyOf": [_schema_of(one, definitions) for one in inner]}
    if origin is tuple:
        return {"type": "array", "items": _schema_of(inner[0], definitions)}
    if origin is dict:
        return {"type": "object", "additionalProperties": _schema_of(inner[1], definitions)}
    return {"type": _PLAIN[kind]}
