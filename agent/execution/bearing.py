"""What became of a wallet's own nonce, as the tracker is told. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from chains.types import Receipt


@dataclass(frozen=True, slots=True)
class Fate:
    """`used`: the nonce is gone. `receipt`: somebody else executed what our owners signed. `foreign`: proved that another
    transaction of the wallet's took it, so that ours can never execute. Used and neither: not known yet."""

    used: bool = False
    foreign: bool = False
    receipt: Receipt | None = None


FREE = Fate()

__all__ = ["FREE", "Fate"]
