"""The keys and exchange secrets this process holds, opened by the references in its own settings and never shown."""

from __future__ import annotations

from chains.errors import Denied, FairleadError, Retry, Usage
from chains.types import Environment
from keys.keystore import open_stored
from keys.local_keystore import LocalKeystore, StoredKey
from keys.secrets import Secret, resolve
from keys.settings import Held, KeyReference, SignerSettings
from keys.signers import Ask as Prompt
from keys.signers import Signer, SignerSpec, load, open_signer


class Vault:
    """Opened keys by address. Raises Usage for a wrong password, Denied for another environment's or another key."""

    def __init__(self, settings: SignerSettings) -> None:
        self.settings = settings
        self.store = LocalKeystore(settings.keystore)
        self.senders: dict[str, Signer] = {}
        self.owners: dict[str, Signer] = {}
        self.relay: Signer | None = None
        self.api_keys: dict[str, Secret] = {}
        self.secrets: dict[str, Secret] = {}
        self.passwords: dict[str, Secret] = {}
        self._stored: dict[str, StoredKey] = {}
        for held in self._held():
            if isinstance(held, KeyReference):
                self._stored[held.key] = self.store.find(held.key, settings.environment)
            elif held.environment is not settings.environment:
                open_signer(held, settings.environment)  # refuses, naming both worlds
            elif not load(held.kind).needs_address:
                raise Usage(
                    "SIGNER_CONFIG_INVALID",
                    f"a {held.kind} key is named by `key` and `password` here",
                    "See keys/settings.py.",
                )
        self._refuse_threshold()
        relay = settings.relay_auth
        if relay and self.address(relay) in self.addresses((*settings.senders, *settings.owners)):
            raise Denied(
                "RELAY_KEY_SHARED",
                "the relay's key also sends or owns",
                "Make a key of its own for the relay's header.",
            )

    def _held(self) -> tuple[Held, ...]:
        relay = (self.settings.relay_auth,) if self.settings.relay_auth else ()
        return (*self.settings.senders, *self.settings.owners, *relay)

    def _refuse_threshold(self) -> None:
        """Two authorities: a live process never reaches enough owner keys, wherever they are kept, to act for the owners."""
        held = {self.address(h) for h in self._held() if isinstance(h, KeyReference) or load(h.kind).signs}
        for policy in self.settings.chains.values():
            count = len(held & policy.owners)
            if self.settings.environment is Environment.LIVE and count >= policy.threshold:
                raise Denied(
                    "OWNERS_HELD",
                    f"this process would hold {count} owner keys of a Safe whose threshold is {policy.threshold}",
                    "Owners sign attended, each from a keystore of their own (`python -m keys.owner_sign`).",
                )

    def address(self, held: Held) -> str:
        return self._stored[held.key].address if isinstance(held, KeyReference) else held.named()

    def addresses(self, held: tuple[Held, ...]) -> tuple[str, ...]:
        return tuple(self.address(h) for h in held)

    def open_exchanges(self) -> None:
        for name, reference in self.settings.exchanges.items():
            self.api_keys[name], self.secrets[name] = resolve(reference.api_key), resolve(reference.secret)
            if reference.password is not None:
                self.passwords[name] = resolve(reference.password)

    def open_keys(self, prompt: Prompt | None) -> list[str]:
        """Opens every key that needs no person, and the others by `prompt` where given; names what stays locked.

        A device or a service that cannot be reached now stays locked too: `unlock` tries it again, and then says why it does not open.
        """
        locked = []
        for held in self._held():
            if self._opened(held):
                continue
            try:
                key = self._open(held, prompt)
            except Retry:
                if prompt is not None:
                    raise
                key = None
            if key is None:
                locked.append(held.key if isinstance(held, KeyReference) else f"{held.kind} {held.named()}")
                continue
            if held in self.settings.senders:
                self.senders[key.address] = key
            if held in self.settings.owners:
                self.owners[key.address] = key
            if held == self.settings.relay_auth:
                self.relay = key
        return locked

    def _open(self, held: Held, prompt: Prompt | None) -> Signer | None:
        if isinstance(held, SignerSpec):
            return open_signer(held, self.settings.environment, prompt)
        if held.password is None and prompt is None:
            return None
        stored = self._stored[held.key]
        question = f"Password of {stored.environment.value} key {stored.name} ({stored.address}): "
        return open_stored(self.store, stored, held.password, prompt, question)

    def _opened(self, held: Held) -> bool:
        address = self.address(held)
        roles = [
            address in self.senders if held in self.settings.senders else True,
            address in self.owners if held in self.settings.owners else True,
            self.relay is not None if held == self.settings.relay_auth else True,
        ]
        return all(roles)


def locked_key(name: str) -> FairleadError:
    return Usage(
        "KEY_LOCKED",
        f"the key {name} is not open",
        "`fairlead signer unlock` has the signer ask for its password.",
    )
