"""A settings file that explains itself: every key with what it does, those you have not set as comments.

What is written here loads back to the same settings; `init` and `demo` write their files with it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from enum import Enum
from pathlib import Path
from textwrap import wrap
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from agent.app.settings_load import model_of, parse
from agent.app.settings_tree import Settings
from chains.errors import Usage

_HEAD = """\
# Fairlead settings. `fairlead config check` tells all problems, `fairlead config explain` what every key does.
# Money is a string in quotes. Secrets never stand here: env:NAME, file:PATH, credential:NAME (systemd),
# keyring:SERVICE/USER, keystore:PATH?REF and cmd:COMMAND say where they are. Lines that begin with "# key =" are defaults.
"""
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def render(values: Mapping[str, Any], path: Path, note: str = "") -> str:
    """The commented file of these values, shaped as the file's own tables; checked by loading it as if it stood at `path`.

    Usage SETTINGS_INVALID where the values are not valid settings.
    """
    text = (
        _HEAD
        + "".join(f"# {line}\n" for line in note.splitlines())
        + "\n".join(_table(Settings, values, ""))
        + "\n"
    )
    parse(text, path)
    return text


def write(values: Mapping[str, Any], path: Path, *, note: str = "", replace: bool = False) -> None:
    """Writes `render` whole or not at all. Usage SETTINGS_EXISTS unless `replace`."""
    text = render(values, path, note)
    if path.exists() and not replace:
        raise Usage(
            "SETTINGS_EXISTS",
            f"{path} is there already and was left as it is",
            "name another file, or move it away",
        )
    spare = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        spare.write_text(text, encoding="utf-8")
        spare.chmod(0o600)
        os.replace(spare, path)
    except OSError as wrong:
        spare.unlink(missing_ok=True)
        raise Usage(
            "SETTINGS_UNWRITABLE",
            f"{path} cannot be written: {wrong.strerror}",
            "name another file with --settings",
        ) from wrong


def toml(value: Any) -> str:
    """One value in TOML; money, paths and enums as strings."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Decimal):
        return _quoted(format(value, "f"))
    if isinstance(value, Enum):
        return toml(value.value)
    if isinstance(value, (list, tuple)):
        inner = [toml(item) for item in value]
        return (
            f"[{', '.join(inner)}]"
            if sum(map(len, inner)) < 90
            else "[\n" + "".join(f"  {item},\n" for item in inner) + "]"
        )
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(name)} = {toml(item)}" for name, item in value.items()) + " }"
    return _quoted(str(value))


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c >= " " and c != "\x7f" else f"\\u{ord(c):04x}" for c in escaped) + '"'


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _quoted(name)


def _table(model: type[BaseModel], values: Mapping[str, Any], prefix: str) -> Iterator[str]:
    """First the table's own keys, then the tables below it: what follows a header belongs to it."""
    below: list[tuple[str, FieldInfo, Any]] = []
    for name, field in model.model_fields.items():
        value = values.get(name)
        if model_of(field.annotation) is not None or _is_mapping(field):
            below.append((name, field, value))
            continue
        yield from _comment(field)
        if value is not None:
            yield f"{name} = {toml(value)}"
        elif field.is_required():
            yield f"# {name} =   # required"
        else:
            default = field.get_default(call_default_factory=True)
            yield f"# {name} = {toml(default) if default is not None else '(not set)'}"
    for name, field, value in below:
        yield from _below(field, value, f"{prefix}{name}")


def _below(field: FieldInfo, value: Any, path: str) -> Iterator[str]:
    inner = model_of(field.annotation)
    if _is_mapping(field):
        yield ""
        yield from _comment(field)
        yield f"[{path}]" if value else f"# [{path}]"
        for name, item in (value or {}).items():
            if inner is not None:
                yield f"{_key(name)} = [\n" + "".join(f"  {toml(one)},\n" for one in item) + "]"
            else:
                yield f"{_key(name)} = {toml(item)}"
    elif inner is None:
        return
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            yield ""
            if number == 0:
                yield from _comment(field)
            yield f"[[{path}]]"
            yield from _table(inner, item, f"{path}.")
    elif value is not None:
        yield ""
        yield from _comment(field)
        yield f"[{path}]"
        yield from _table(inner, value, f"{path}.")
    else:
        yield ""
        yield from _comment(field)
        yield f"# none here: `fairlead config explain {path}` tells its keys"


def _comment(field: FieldInfo) -> Iterator[str]:
    for line in wrap(field.description or "", 110):
        yield f"# {line}"


def _is_mapping(field: FieldInfo) -> bool:
    return getattr(field.annotation, "__origin__", None) is dict
