"""Reading a settings file: every problem at once, each with its line, its path, and the remedy."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from agent.app import paths
from agent.app.settings_checks import cross_checks
from agent.app.settings_lines import Lines
from agent.app.settings_tree import Settings
from chains.bounded_file import SETTINGS_BYTES, read_at_most
from chains.errors import Usage


@dataclass(frozen=True, slots=True)
class Problem:
    """`where` is the TOML path, `chains[1].rpc`."""

    where: str
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings with what was really written: `given` holds the TOML paths that stand in the file."""

    settings: Settings
    path: Path
    given: frozenset[str]


def load(path: Path) -> Settings:
    """Usage SETTINGS_MISSING, SETTINGS_SYNTAX or SETTINGS_INVALID; the last one tells all problems."""
    return load_with_sources(path).settings


def load_with_sources(path: Path) -> Loaded:
    path = path.expanduser().absolute()
    try:
        text = read_at_most(path, SETTINGS_BYTES).decode()
    except FileNotFoundError:
        raise Usage(
            "SETTINGS_MISSING",
            f"there is no settings file {path}",
            "`fairlead init` writes one; --settings names another",
        ) from None
    except IsADirectoryError:
        raise Usage("SETTINGS_MISSING", f"{path} is a folder, not a settings file", "name the file") from None
    except UnicodeDecodeError as wrong:
        raise Usage(
            "SETTINGS_SYNTAX", f"{path} is not UTF-8 text (byte {wrong.start})", "save it as UTF-8"
        ) from None
    except OSError as wrong:
        raise Usage(
            "SETTINGS_MISSING", f"{path} cannot be read: {wrong.strerror}", "check its permissions"
        ) from None
    return parse(text, path)


def parse(text: str, path: Path) -> Loaded:
    """As `load_with_sources`, of a text that stands, or is to stand, at `path`."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as wrong:
        raise Usage(
            "SETTINGS_SYNTAX",
            f"{path} is not TOML: {wrong}",
            "text values need quotes; tables look like [limits] and [[chains]]",
        ) from None
    lines = Lines(text)
    try:
        settings = Settings.model_validate(raw)
    except ValidationError as wrong:
        raise _invalid(path, lines, _problems(wrong)) from None
    settings = _with_absolute_paths(settings, raw, path.parent)
    problems = [Problem(*found) for found in cross_checks(settings)]
    if problems:
        raise _invalid(path, lines, problems)
    return Loaded(settings, path, frozenset(written(raw)))


def written(raw: Any, prefix: str = "") -> Iterator[str]:
    """The TOML path of every table and value in the file."""
    if prefix:
        yield prefix
    if isinstance(raw, Mapping):
        for key, value in raw.items():
            yield from written(value, f"{prefix}.{key}" if prefix else key)
    elif isinstance(raw, list):
        for number, value in enumerate(raw):
            yield from written(value, f"{prefix}[{number}]")


def dotted(location: tuple[str | int, ...]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _invalid(path: Path, lines: Lines, problems: list[Problem]) -> Usage:
    said = []
    for problem in sorted(problems, key=lambda p: (lines.of(p.where), p.where)):
        hint = f"; {problem.hint}" if problem.hint else ""
        said.append(f"line {lines.of(problem.where)}: {problem.where or 'the file'}: {problem.message}{hint}")
    head = f"{path} has {len(said)} problem{'s' if len(said) > 1 else ''}"
    return Usage(
        "SETTINGS_INVALID",
        head + "\n  " + "\n  ".join(said),
        "`fairlead config explain KEY` tells what a key means",
    )


# -- one problem in our own words; the value is shown only where it cannot be a secret -------------------------------


def _problems(wrong: ValidationError) -> list[Problem]:
    """A list with a wrong element is also reported as too short: that would be a second message for one mistake."""
    errors = wrong.errors(include_url=False)
    deeper = {error["loc"][:depth] for error in errors for depth in range(len(error["loc"]))}
    return [_problem(error) for error in errors if error["type"] != "too_short" or error["loc"] not in deeper]


def _problem(error: Any) -> Problem:
    location: tuple[str | int, ...] = error["loc"]
    where, kind, context = dotted(location), error["type"], error.get("ctx") or {}
    if kind == "settings":
        message, _, hint = error["msg"].partition("\x1f")
        return Problem(where, message, hint)
    if kind == "extra_forbidden":
        return _unknown(location)
    if kind == "missing":
        return Problem(where, "is missing", f"add {where.rpartition('.')[2]} = …")
    if kind in ("enum", "literal_error"):
        return Problem(where, f"{error['input']!r} is not one of {context['expected']}")
    if kind in ("too_short", "tuple_too_short"):
        return Problem(where, "is empty", "it needs at least one")
    if kind in ("model_type", "dict_type", "model_attributes_type"):
        return Problem(where, "is a value where a table is meant", f"write [{where}]")
    if kind == "tuple_type":
        return Problem(where, "is one thing where a list is meant", f'write [[{where}]] tables, or ["…"]')
    bounds = {"greater_than_equal": ("ge", "at least"), "less_than_equal": ("le", "at most")}
    if kind in bounds:
        name, words = bounds[kind]
        return Problem(where, f"must be {words} {context[name]}, not {error['input']}")
    wanted = {
        "int": "a whole number without quotes",
        "bool": "true or false without quotes",
        "string": "text in quotes",
        "path": "a path in quotes",
    }
    for start, words in wanted.items():
        if kind.startswith(start):
            return Problem(where, f"must be {words}")
    return Problem(where, error["msg"].removeprefix("Value error, "))


def _meant(home: str) -> str:
    """Of a key that stands elsewhere: one of the top level is read as the last table's where it follows one."""
    return f"did you mean {home}?" if "." in home else f"'{home}' stands above the first [table]"


def _unknown(location: tuple[str | int, ...]) -> Problem:
    *parents, key = location
    table, where = dotted(tuple(parents)), dotted(location)
    here = list(_fields_at(tuple(parents)))
    near = get_close_matches(str(key), here, n=1, cutoff=0.6)
    if near:
        return Problem(where, f"unknown key '{key}'", f"did you mean '{near[0]}'?")
    home = next((found for found in _all_keys() if found.rpartition(".")[2] == key), None)
    if home:
        return Problem(where, f"unknown key '{key}'", _meant(home))
    anywhere = get_close_matches(
        str(key), [found.rpartition(".")[2] for found in _all_keys()], n=1, cutoff=0.75
    )
    if anywhere:
        home = next(found for found in _all_keys() if found.rpartition(".")[2] == anywhere[0])
        return Problem(where, f"unknown key '{key}'", _meant(home))
    return Problem(
        where, f"unknown key '{key}'", f"{f'[{table}]' if table else 'the top level'} knows {', '.join(here)}"
    )


def model_of(annotation: Any) -> type[BaseModel] | None:
    """The table behind a field's type: itself, or the element of a list or mapping of tables."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for found in map(model_of, get_args(annotation)) if found), None)


def _fields_at(location: tuple[str | int, ...]) -> Iterator[str]:
    model: type[BaseModel] | None = Settings
    for part in location:
        if model is not None and isinstance(part, str) and part in model.model_fields:
            model = model_of(model.model_fields[part].annotation)
    return iter(model.model_fields if model is not None else ())


def _all_keys(model: type[BaseModel] = Settings, prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}"
        inner = model_of(field.annotation)
        if inner is not None:
            yield from _all_keys(inner, f"{prefix}{name}.")


# -- paths ------------------------------------------------------------------------------------------------------------


def _with_absolute_paths(settings: Settings, raw: Mapping[str, Any], folder: Path) -> Settings:
    """Paths of the file are taken from its own folder, defaults from the environment's folders."""
    environment = settings.environment.value
    homes: dict[tuple[str, ...], Path] = {
        ("journal", "path"): paths.state_dir(environment),
        ("journal", "emergency_path"): paths.config_dir() / environment,
        ("signer", "socket"): paths.run_dir(environment),
        ("signer", "config"): folder,
    }

    def settle(table: BaseModel, location: tuple[str, ...], given: Any) -> BaseModel:
        changes: dict[str, Any] = {}
        for name in type(table).model_fields:
            value, here = getattr(table, name), given.get(name) if isinstance(given, Mapping) else None
            if isinstance(value, Path):
                base = folder if here is not None else homes.get((*location, name), folder)
                changes[name] = (base / value.expanduser()).absolute()
            elif isinstance(value, BaseModel):
                changes[name] = settle(value, (*location, name), here or {})
            elif isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
                changes[name] = tuple(
                    settle(item, (*location, name), one)
                    for item, one in zip(value, here or [{}] * len(value), strict=True)
                )
        return table.model_copy(update=changes) if changes else table

    settled = settle(settings, (), raw)
    assert isinstance(settled, Settings)
    return settled
