"""An address that is known and cannot sign: an owner elsewhere, a wallet that is only looked at. SIGNER of the name `watch`."""

from __future__ import annotations

from typing import NoReturn

from chains.errors import Denied
from chains.types import Address, Environment, UnsignedTx
from keys.signers import Ask, Request, SignerFacts, SignerSpec
from keys.typed import TypedHash


class WatchOnly:
    """Every request is Denied WATCH_ONLY."""

    def __init__(self, address: Address, environment: Environment) -> None:
        self.facts, self.address, self.environment = SIGNER, address, environment

    def shows(self, request: Request) -> tuple[str, ...]:
        return ()

    def sign_transaction(self, tx: UnsignedTx) -> NoReturn:
        self._refuse()

    def sign_typed(self, typed: TypedHash) -> NoReturn:
        self._refuse()

    def sign_message(self, message: bytes) -> NoReturn:
        self._refuse()

    def close(self) -> None:
        """Nothing is held."""

    def _refuse(self) -> NoReturn:
        raise Denied(
            "WATCH_ONLY",
            f"{self.address} is only watched here: there is no key to sign with",
            "Sign where the key is and bring the signature, or give this address a signer of another kind.",
        )

    def __repr__(self) -> str:
        return f"WatchOnly({self.address}, {self.environment.value})"


def _open(spec: SignerSpec, ask: Ask | None) -> WatchOnly:
    return WatchOnly(spec.named(), spec.environment)


SIGNER = SignerFacts(
    "watch",
    False,
    "nowhere that this installation reaches",
    "known by its address; refuses to sign",
    _open,
    slow=False,
    signs=False,
)
