"""Values of the signer's file, each read with its path: what is wrong is named by it. Errors: Usage SIGNER_CONFIG_INVALID."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from chains.errors import Usage
from chains.types import Address
from contracts.hashing import to_checksum
from keys.secrets import is_reference


class Reader:
    """Reads one JSON object key by key; what is left over at the end is refused."""

    def __init__(self, data: Any, path: str, known: str) -> None:
        if not isinstance(data, dict):
            raise bad(path, "must be an object")
        self.data, self.path, names = data, path, known.split()
        for key in data:
            if key not in names:
                near = get_close_matches(key, names, n=1)
                raise bad(
                    f"{path}.{key}", "is not a known key" + (f"; did you mean {near[0]}?" if near else "")
                )

    def get(self, key: str, read: Callable[[Any, str], Any], default: Any = ...) -> Any:
        if key not in self.data:
            if default is ...:
                raise bad(f"{self.path}.{key}", "is missing")
            return default
        return read(self.data[key], f"{self.path}.{key}")


def bad(path: str, why: str) -> Usage:
    return Usage(
        "SIGNER_CONFIG_INVALID",
        f"{path.removeprefix('$.')} {why}",
        "See keys/settings.py for the file's form.",
    )


def text_of(value: Any, path: str) -> str:
    if not isinstance(value, str) or not value:
        raise bad(path, "must be a text")
    return value


def path_of(value: Any, path: str) -> Path:
    return Path(text_of(value, path)).expanduser()


def int_of(value: Any, path: str) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    if type(value) is not int or value < 0:
        raise bad(path, "must be a non-negative integer (as a decimal string where it is money)")
    return value


def bool_of(value: Any, path: str) -> bool:
    if type(value) is not bool:
        raise bad(path, "must be true or false")
    return value


def address_of(value: Any, path: str) -> Address:
    try:
        return Address(to_checksum(text_of(value, path)))
    except ValueError as error:
        raise bad(path, f"is not an address: {error}") from None


def list_of(item: Callable[[Any, str], Any]) -> Callable[[Any, str], tuple[Any, ...]]:
    def read(value: Any, path: str) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise bad(path, "must be a list")
        return tuple(item(v, f"{path}[{i}]") for i, v in enumerate(value))

    return read


def map_of(
    key: Callable[[Any, str], Any], item: Callable[[Any, str], Any]
) -> Callable[[Any, str], dict[Any, Any]]:
    def read(value: Any, path: str) -> dict[Any, Any]:
        if not isinstance(value, dict):
            raise bad(path, "must be an object")
        return {key(k, path): item(v, f"{path}.{k}") for k, v in value.items()}

    return read


def reference_of(value: Any, path: str) -> str:
    if not isinstance(value, str) or not is_reference(value):
        raise bad(
            path,
            "must be a secret reference (env:, file:, credential:, keyring:, keystore:, cmd:), not the secret itself",
        )
    return value
