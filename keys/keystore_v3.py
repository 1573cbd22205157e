"""Keystore V3 files (Web3 Secret Storage): scrypt or PBKDF2, AES-128-CTR, Keccak MAC; geth's and cast's files and ours are alike.

`eth_keyfile`, eth-account's own part for it, opens and writes them; here stands what it leaves to its caller: bounds on what
a file may ask of this machine, lengths, and that the address it names is its key's. Errors are Usage:
KEYSTORE_UNREADABLE, KEYSTORE_INVALID, WRONG_PASSWORD. A derived key costs what its file asks for (n = 2**18: 0.7 s, 256 MB).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chains.bounded_file import SETTINGS_BYTES, read_at_most
from chains.bounded_json import loads
from chains.errors import Usage
from contracts.hashing import load_crypto_alone
from keys.curve import SigningKey
from keys.secrets import Secret

STANDARD_N = 1 << 18
LIGHT_N = 1 << 12


def read(path: Path) -> dict[str, Any]:
    """The parsed file. Raises Usage KEYSTORE_UNREADABLE or KEYSTORE_INVALID."""
    try:
        text = read_at_most(path, SETTINGS_BYTES)
    except OSError as error:
        raise Usage(
            "KEYSTORE_UNREADABLE", f"{path}: {error.strerror}", "`fairlead keys list` shows what is there."
        ) from None
    try:
        if len(text) > 1 << 16:
            raise ValueError("too large")
        data = loads(text)
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise Usage("KEYSTORE_INVALID", f"{path} is not a keystore V3 file")
    return data


def _number(value: Any, low: int, high: int, name: str) -> int:
    if type(value) is not int or not low <= value <= high:
        raise Usage("KEYSTORE_INVALID", f"the keystore's {name} is out of range")
    return value


def _bounded(kdf: str, params: dict[str, Any]) -> None:
    """Bounds keep a hostile file from asking for the machine's memory or its day."""
    _number(params["dklen"], 32, 64, "dklen")
    if kdf == "scrypt":
        for name, low, high in (("n", 2, 1 << 20), ("r", 1, 16), ("p", 1, 16)):
            _number(params[name], low, high, name)
    elif kdf == "pbkdf2":
        if params.get("prf") != "hmac-sha256":
            raise Usage("KEYSTORE_INVALID", "the keystore's prf is not hmac-sha256")
        _number(params["c"], 1, 1 << 24, "c")
    else:
        raise Usage("KEYSTORE_INVALID", "the keystore's kdf is neither scrypt nor pbkdf2")


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def _padded_iv(crypto: dict[str, Any]) -> dict[str, Any]:
    """eth_keyfile before 0.9 wrote the iv as a number, so one file in 256 lacks a leading zero byte: the same iv, written shorter."""
    iv = _bytes(crypto["cipherparams"]["iv"]).rjust(16, b"\0")
    if len(iv) != 16:
        raise Usage("KEYSTORE_INVALID", "the keystore's iv is longer than 16 bytes")
    return crypto | {"cipherparams": {"iv": iv.hex()}}


def decrypt(store: dict[str, Any], password: Secret) -> bytes:
    """The 32 bytes of the private key. Raises Usage WRONG_PASSWORD or KEYSTORE_INVALID."""
    load_crypto_alone()
    from eth_keyfile.keyfile import decode_keyfile_json

    try:
        crypto = store.get("crypto") or store["Crypto"]
        if store.get("version") != 3 or crypto["cipher"] != "aes-128-ctr":
            raise Usage("KEYSTORE_INVALID", "only version 3 keystores with aes-128-ctr are read")
        _bounded(crypto["kdf"], crypto["kdfparams"])
        crypto = _padded_iv(crypto)
        if len(_bytes(crypto["ciphertext"])) != 32:
            raise Usage("KEYSTORE_INVALID", "the keystore holds something other than a 32-byte key")
        secret = decode_keyfile_json({"version": 3, "crypto": crypto}, password.reveal())
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        if str(error) == "MAC mismatch":  # the library's only word for it, the same in every release
            raise Usage(
                "WRONG_PASSWORD",
                "the password does not open this keystore",
                "Nothing was changed; try again.",
            ) from None
        raise Usage("KEYSTORE_INVALID", "the keystore lacks a field or holds a malformed one") from None
    named = store.get("address")
    if isinstance(named, str) and named.removeprefix("0x").lower() != SigningKey(secret).address[2:].lower():
        raise Usage("KEYSTORE_INVALID", "the keystore names another address than its key has")
    return secret


def encrypt(secret: bytes, password: Secret, n: int = STANDARD_N) -> dict[str, Any]:
    """A new keystore object with a fresh salt and iv; scrypt r = 8, p = 1."""
    load_crypto_alone()
    from eth_keyfile.keyfile import create_keyfile_json

    store = create_keyfile_json(secret, password.reveal(), kdf="scrypt", iterations=n, salt_size=32)
    address = SigningKey(secret).address[2:].lower()
    return store | {"address": address, "crypto": _padded_iv(store["crypto"])}
