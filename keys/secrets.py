"""Secret references: the settings name where a secret is, and this is the only place that fetches one.

    env:NAME               an environment variable
    file:PATH              a file of the user's own (mode 0600 or stricter), one trailing newline dropped
    credential:NAME        systemd's $CREDENTIALS_DIRECTORY/NAME
    keyring:SERVICE/USER   the desktop's keyring (needs the `keyring` extra)
    keystore:PATH?REF      the private key inside a keystore V3 file, its password given by another reference
    cmd:COMMAND            the first line another program prints (no shell)

Errors are Usage; none of them holds the secret or a part of it.
"""

from __future__ import annotations

import hmac
import os
import re
import shlex
import stat
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from chains.errors import Usage

_KINDS = ("env", "file", "credential", "keyring", "keystore", "cmd")
_TIMEOUT_S = 30
_SENSITIVE = re.compile(
    r"PASS|SECRET|TOKEN|PRIVATE|MNEMONIC|CREDENTIAL|API_?KEY|_KEY$|^AWS_|RPC_URL|COOKIE|AUTH", re.IGNORECASE
)


class Secret:
    """Bytes with no repr, no str, no equality by value in an error, no pickling. `reveal` is what one greps for."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = value

    def reveal(self) -> bytes:
        return self._value

    def text(self) -> str:
        """The secret as text. Raises Usage when it is not UTF-8."""
        try:
            return self._value.decode()
        except UnicodeDecodeError:
            raise Usage("SECRET_NOT_TEXT", "a secret that must be text is not UTF-8") from None

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value, other._value)

    __hash__ = None  # type: ignore[assignment]

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a secret is never serialised")


def is_reference(text: str) -> bool:
    return text.partition(":")[0] in _KINDS and ":" in text


def resolve(reference: str) -> Secret:
    """The secret a reference names. Raises Usage SECRET_REFERENCE_INVALID or SECRET_UNAVAILABLE."""
    kind, _, rest = reference.partition(":")
    if kind not in _KINDS or not rest:
        # What was given may be the secret itself, typed in the wrong place: it must not appear in the message.
        raise Usage(
            "SECRET_REFERENCE_INVALID",
            "a secret must be given as a reference, not as itself",
            f"Write one of {', '.join(k + ':…' for k in _KINDS)}.",
        )
    value: bytes = _FETCH[kind](rest)
    if not value:
        raise Usage("SECRET_UNAVAILABLE", f"{_shown(kind, rest)} is empty", "Put the secret there.")
    return Secret(value)


def _shown(kind: str, rest: str) -> str:
    return f"{kind}:{rest if kind not in ('cmd', 'keystore') else '…'}"


def _env(name: str) -> bytes:
    if name not in os.environ:
        raise Usage(
            "SECRET_UNAVAILABLE",
            f"the environment has no {name}",
            "Export it for this process alone, or use file:.",
        )
    return os.environ[name].encode()


def _file(path: str, private: bool = True) -> bytes:
    full = Path(path).expanduser()
    try:
        with full.open("rb") as handle:
            mode = os.fstat(handle.fileno())
            if private and mode.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise Usage("SECRET_FILE_EXPOSED", f"{full} may be read by other users", f"chmod 600 {full}")
            if mode.st_size > 1 << 20:
                raise Usage("SECRET_UNAVAILABLE", f"{full} is too large to be a secret")
            return handle.read().removesuffix(b"\n").removesuffix(b"\r")
    except OSError as error:
        raise Usage(
            "SECRET_UNAVAILABLE", f"{full}: {error.strerror}", "The reference names a file that can be read."
        ) from None


def _credential(name: str) -> bytes:
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        raise Usage(
            "SECRET_UNAVAILABLE",
            "there is no $CREDENTIALS_DIRECTORY",
            "Start it by systemd with LoadCredential=.",
        )
    if "/" in name:
        raise Usage("SECRET_REFERENCE_INVALID", "a credential's name has no slash")
    return _file(f"{folder}/{name}", private=False)


def _keyring(name: str) -> bytes:
    try:
        import keyring
    except ImportError:
        raise Usage(
            "SECRET_UNAVAILABLE", "keyring: needs the keyring extra", "Install fairlead[keyring]."
        ) from None
    service, _, user = name.partition("/")
    found = keyring.get_password(service, user)
    if found is None:
        raise Usage(
            "SECRET_UNAVAILABLE",
            f"the keyring has no entry {service}/{user}",
            f"keyring set {service} {user}",
        )
    return str(found).encode()


def _keystore(rest: str) -> bytes:
    from keys.keystore_v3 import decrypt, read

    path, question, password = rest.partition("?")
    if not question:
        raise Usage(
            "SECRET_REFERENCE_INVALID",
            "keystore: needs a file and its password's reference",
            "keystore:PATH?file:PATH",
        )
    return decrypt(read(Path(path).expanduser()), resolve(password))


def _cmd(command: str) -> bytes:
    try:
        argv = shlex.split(command)
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, ValueError) as error:
        raise Usage(
            "SECRET_UNAVAILABLE", f"the secret's command cannot be run: {type(error).__name__}"
        ) from None
    except subprocess.TimeoutExpired:
        raise Usage("SECRET_UNAVAILABLE", f"the secret's command did not answer in {_TIMEOUT_S} s") from None
    if done.returncode:
        raise Usage("SECRET_UNAVAILABLE", f"the secret's command ended with status {done.returncode}")
    return done.stdout.split(b"\n", 1)[0].removesuffix(b"\r")


_FETCH: Mapping[str, Callable[[str], bytes]] = {
    "env": _env,
    "file": _file,
    "credential": _credential,
    "keyring": _keyring,
    "keystore": _keystore,
    "cmd": _cmd,
}


def ask_on_tty(question: str) -> Secret:
    """Asks on this process's own terminal. Raises Usage NO_TERMINAL, PASSWORD_NOT_TEXT."""
    import getpass

    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        raise Usage(
            "NO_TERMINAL",
            "there is no terminal to ask for the password on",
            "Give the password's reference in the settings.",
        ) from None
    try:
        return Secret(getpass.getpass(question).encode())
    except UnicodeError:
        raise Usage(
            "PASSWORD_NOT_TEXT",
            "what was typed is not text in the terminal's encoding",
            "Set the terminal to UTF-8, or give the password's reference.",
        ) from None


def scrubbed_environment(keep: tuple[str, ...] = ()) -> dict[str, str]:
    """This process's environment without what looks like a secret, for children; `keep` names what they need all the same."""
    return {k: v for k, v in os.environ.items() if k in keep or not _SENSITIVE.search(k)}


_PLAIN = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "VIRTUAL_ENV",
    "TMPDIR",
    "TERM",
    "XDG_DATA_HOME",
    "CREDENTIALS_DIRECTORY",
)


def minimal_environment(keep: Sequence[str] = ()) -> dict[str, str]:
    """Only what any program needs, and what `keep` names: for the process that holds the keys."""
    return {k: os.environ[k] for k in (*_PLAIN, *keep) if k in os.environ}
