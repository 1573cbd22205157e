"""The keys and exchange secrets this process holds, opened by the references in its own settings and never shown."""

from __future__ import annotations

import os
from collections.abc import Callable

from chains.errors import Denied, FairleadError, Usage
from chains.types import Environment
from keys.curve import SigningKey
from keys.local_keystore import LocalKeystore, StoredKey
from keys.secrets import Secret, resolve
from keys.settings import KeyReference, SignerSettings

Prompt = Callable[[str], Secret]


def ask_on_tty(question: str) -> Secret:
    """Asks on this process's own terminal. Raises Usage NO_TERMINAL."""
    import getpass

    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        raise Usage(
            "NO_TERMINAL",
            "there is no terminal to ask for the password on",
            "Give the password's reference in the settings.",
        ) from None
    return Secret(getpass.getpass(question).encode())


class Vault:
    """Opened keys by address. Raises Usage for a wrong password, Denied for another environment's key."""

    def __init__(self, settings: SignerSettings) -> None:
        self.settings = settings
        self.store = LocalKeystore(settings.keystore)
        self.senders: dict[str, SigningKey] = {}
        self.owners: dict[str, SigningKey] = {}
        self.relay: SigningKey | None = None
        self.api_keys: dict[str, Secret] = {}
        self.secrets: dict[str, Secret] = {}
        self._stored: dict[str, StoredKey] = {}
        for reference in self._references():
            self._stored[reference.key] = self.store.find(reference.key, settings.environment)
        self._refuse_threshold()
        relay = settings.relay_auth
        if relay and self._stored[relay.key].address in {
            self._stored[r.key].address for r in (*settings.senders, *settings.owners)
        }:
            raise Denied(
                "RELAY_KEY_SHARED",
                "the relay's key also sends or owns",
                "Make a key of its own for the relay's header.",
            )

    def _references(self) -> tuple[KeyReference, ...]:
        relay = (self.settings.relay_auth,) if self.settings.relay_auth else ()
        return (*self.settings.senders, *self.settings.owners, *relay)

    def _refuse_threshold(self) -> None:
        """Two authorities: a live process never holds enough owner keys to act for the owners."""
        held = {s.address for s in self._stored.values()}
        for policy in self.settings.chains.values():
            count = len(held & policy.owners)
            if self.settings.environment is Environment.LIVE and count >= policy.threshold:
                raise Denied(
                    "OWNERS_HELD",
                    f"this process would hold {count} owner keys of a Safe whose threshold is {policy.threshold}",
                    "Owners sign attended, each from a keystore of their own (`python -m keys.owner_sign`).",
                )

    def addresses(self, references: tuple[KeyReference, ...]) -> tuple[str, ...]:
        return tuple(self._stored[r.key].address for r in references)

    def open_exchanges(self) -> None:
        for name, reference in self.settings.exchanges.items():
            self.api_keys[name], self.secrets[name] = resolve(reference.api_key), resolve(reference.secret)

    def open_keys(self, prompt: Prompt | None) -> list[str]:
        """Opens every key whose password is referenced, and the others by `prompt` where given; names what stays locked."""
        locked = []
        for reference in self._references():
            stored = self._stored[reference.key]
            if self._opened(reference, stored):
                continue
            if reference.password is not None:
                password = resolve(reference.password)
            elif prompt is not None:
                password = prompt(
                    f"Password of {stored.environment.value} key {stored.name} ({stored.address}): "
                )
            else:
                locked.append(stored.name)
                continue
            key = self.store.open(stored, password)
            if reference in self.settings.senders:
                self.senders[key.address] = key
            if reference in self.settings.owners:
                self.owners[key.address] = key
            if reference == self.settings.relay_auth:
                self.relay = key
        return locked

    def _opened(self, reference: KeyReference, stored: StoredKey) -> bool:
        roles = [
            stored.address in self.senders if reference in self.settings.senders else True,
            stored.address in self.owners if reference in self.settings.owners else True,
            self.relay is not None if reference == self.settings.relay_auth else True,
        ]
        return all(roles)


def locked_key(name: str) -> FairleadError:
    return Usage(
        "KEY_LOCKED",
        f"the key {name} is not open",
        "`fairlead signer unlock` has the signer ask for its password.",
    )
