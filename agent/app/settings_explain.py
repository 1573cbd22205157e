"""Every key: its value, where that came from, and what it does."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from agent.app.settings_load import Loaded, model_of
from agent.app.settings_tree import Settings
from chains.errors import Usage


@dataclass(frozen=True, slots=True)
class Explained:
    """`key` is the TOML path; `source` is "file" or "default"; `value` is text, or None where nothing is set."""

    key: str
    value: str | None
    source: str
    meaning: str


def explain(loaded: Loaded, key: str | None = None) -> list[Explained]:
    """All keys, or those at and below `key` (with or without its [number]). Usage SETTINGS_KEY_UNKNOWN."""
    rows = list(_walk(loaded.settings, "", loaded.given))
    if key is None:
        return rows
    chosen = [row for row in rows if _covers(key, row.key)]
    if [row.key for row in chosen] == [key]:  # a table nobody has written yet: its keys are what is asked for
        chosen += [
            Explained(name, None, "default", meaning)
            for name, meaning in schema()
            if name.startswith(f"{key}.")
        ]
    if not chosen:
        chosen = [
            Explained(name, None, "default", meaning) for name, meaning in schema() if _covers(key, name)
        ]
    if not chosen:
        names = sorted({re.sub(r"\[\d+\]", "", row.key) for row in rows} | {name for name, _ in schema()})
        near = get_close_matches(key, names, n=1, cutoff=0.5)
        raise Usage(
            "SETTINGS_KEY_UNKNOWN",
            f"there is no key '{key}'",
            f"did you mean {near[0]}?" if near else "`fairlead config explain` lists all",
        )
    return chosen


def schema(model: type[BaseModel] = Settings, prefix: str = "") -> Iterator[tuple[str, str]]:
    """(path, meaning) of every key that a settings file may hold."""
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}", field.description or ""
        inner = model_of(field.annotation)
        if inner is not None:
            yield from schema(inner, f"{prefix}{name}.")


def _covers(key: str, path: str) -> bool:
    for candidate in (path, re.sub(r"\[\d+\]", "", path)):
        if candidate == key or candidate.startswith((f"{key}.", f"{key}[")):
            return True
    return False


def _walk(table: BaseModel, prefix: str, given: frozenset[str]) -> Iterator[Explained]:
    for name, field in type(table).model_fields.items():
        value, key = getattr(table, name), f"{prefix}{name}"
        source, meaning = "file" if key in given else "default", field.description or ""
        if isinstance(value, BaseModel):
            yield from _walk(value, f"{key}.", given)
        elif isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
            for number, item in enumerate(value):
                yield from _walk(item, f"{key}[{number}].", given)
        elif isinstance(value, Mapping) and value:
            for inner, item in value.items():
                if isinstance(item, tuple) and item and isinstance(item[0], BaseModel):
                    for number, one in enumerate(item):
                        yield from _walk(one, f"{key}.{inner}[{number}].", given)
                else:
                    yield Explained(f"{key}.{inner}", shown(item), "file", meaning)
        else:
            yield Explained(key, shown(value), source, meaning)


def shown(value: Any) -> str | None:
    """A value as people read it. Of a URL only its host: what follows often holds a key."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, (tuple, list)):
        return ", ".join(shown(item) or "" for item in value) or "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} = {shown(item)}" for name, item in value.items()) or "none"
    if isinstance(value, Path):
        return str(value)
    text = str(value)
    url = re.fullmatch(r"((?:https?|wss?)://[^/?#]+)(.*)", text)
    if url:
        return url[1] + ("/…" if len(url[2]) > 1 else "")
    return "cmd:…" if text.startswith("cmd:") else text
