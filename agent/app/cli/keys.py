"""`fairlead keys`: keystore V3 files, each of one environment, interchangeable with geth's and cast's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.app import paths
from agent.app.cli.groups import Sentences
from agent.app.cli.output import emit_json, table
from chains.errors import Usage
from chains.types import Environment

if TYPE_CHECKING:
    from keys.local_keystore import LocalKeystore, StoredKey
    from keys.secrets import Secret

_ENVIRONMENT = click.option(
    "--environment",
    required=True,
    type=click.Choice([e.value for e in Environment]),
    help="The world the key belongs to; it is refused in every other.",
)
_PASSWORD = click.option(
    "--password",
    metavar="REFERENCE",
    help="A secret reference (file:…, env:…); without it the terminal is asked.",
)
_FOLDER = click.option(
    "--keystore", type=click.Path(path_type=Path), metavar="FOLDER", help="Where the files are kept."
)
_LIGHT = click.option("--light", is_flag=True, help="A quick key derivation, for throw-away keys only.")
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document.")


def _store(folder: Path | None) -> LocalKeystore:
    from keys.local_keystore import LocalKeystore

    return LocalKeystore(folder or paths.config_dir() / "keystore")


def _password(reference: str | None, question: str, twice: bool) -> Secret:
    from keys.secrets import ask_on_tty, resolve

    if reference:
        return resolve(reference)
    first = ask_on_tty(f"{question}: ")
    if twice and ask_on_tty("Once more: ") != first:
        raise Usage(
            "PASSWORDS_DIFFER", "the two passwords are not the same", "Nothing was written; try again."
        )
    if not first.reveal():
        raise Usage("PASSWORD_EMPTY", "an empty password protects nothing", "Choose one.")
    return first


def _rounds(light: bool, environment: str) -> int:
    from keys.keystore_v3 import LIGHT_N, STANDARD_N

    if light and environment == Environment.LIVE.value:
        raise Usage("LIGHT_LIVE_KEY", "a live key is never kept lightly", "Leave --light out.")
    return LIGHT_N if light else STANDARD_N


def _facts(key: StoredKey) -> dict[str, Any]:
    return {
        "name": key.name,
        "environment": key.environment.value,
        "address": key.address,
        "file": str(key.path),
    }


def _show(key: StoredKey, as_json: bool, verb: str) -> None:
    if as_json:
        emit_json(_facts(key))
        return
    print(f"{verb} {key.environment.value} key {key.name}: {key.address}\n{key.path}")
    print("Copy the file somewhere safe: without it and its password the key is gone.")


@click.group("keys", cls=Sentences)
def command() -> None:
    """Keystores: new, import, list."""


@command.command("list")
@_FOLDER
@_JSON
def list_keys(keystore: Path | None, as_json: bool) -> None:
    """The keys there are. No password is needed, no secret is read."""
    store = _store(keystore)
    found = store.list()
    if as_json:
        emit_json({"folder": str(store.folder), "keys": [_facts(k) for k in found]})
    elif not found:
        print(f"no keys in {store.folder}; `fairlead keys new NAME --environment …` makes one")
    else:
        table(("environment", "name", "address"), [(k.environment.value, k.name, k.address) for k in found])


@command.command()
@click.argument("name")
@_ENVIRONMENT
@_PASSWORD
@_LIGHT
@_FOLDER
@_JSON
def new(
    name: str, environment: str, password: str | None, light: bool, keystore: Path | None, as_json: bool
) -> None:
    """Makes a fresh key from the system's randomness."""
    rounds = _rounds(light, environment)
    secret = _password(password, "Password for the new key", twice=True)
    _show(_store(keystore).create(name, Environment(environment), secret, rounds), as_json, "Made")


@command.command("import")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--name", required=True, help="What to call it here.")
@click.option("--secret", metavar="REFERENCE", help="Where the raw private key (hex) is, instead of FILE.")
@_ENVIRONMENT
@_PASSWORD
@_LIGHT
@_FOLDER
@_JSON
def import_key(
    file: Path | None,
    name: str,
    secret: str | None,
    environment: str,
    password: str | None,
    light: bool,
    keystore: Path | None,
    as_json: bool,
) -> None:
    """Takes in FILE, a keystore V3 file of geth, cast or another wallet, unchanged; or a raw key by --secret."""
    from keys.secrets import resolve

    if (file is None) == (secret is None):
        raise Usage(
            "BAD_USAGE",
            "give either FILE or --secret",
            "fairlead keys import FILE --name agent --environment devnet",
        )
    store, world = _store(keystore), Environment(environment)
    if file is not None:
        opened = _password(password, f"Password of {file.name}", twice=False)
        _show(store.import_file(name, world, file, opened), as_json, "Took in")
        return
    assert secret is not None
    rounds = _rounds(light, environment)
    raw = _raw_key(resolve(secret))
    _show(
        store.import_secret(
            name, world, raw, _password(password, "Password for the key", twice=True), rounds
        ),
        as_json,
        "Took in",
    )


def _raw_key(given: Secret) -> Secret:
    from keys.secrets import Secret

    try:
        return Secret(bytes.fromhex(given.text().strip().removeprefix("0x")))
    except ValueError:
        raise Usage(
            "BAD_PRIVATE_KEY", "the reference holds no private key in hex", "64 hex digits are expected."
        ) from None
