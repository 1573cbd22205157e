"""A chain's new heads as a subscription would tell them, told by the test."""

from __future__ import annotations

from collections.abc import Sequence

from chains.heads import Heads
from chains.rpc import SecretUrl
from chains.types import BlockRef


class ToldHeads(Heads):
    def __init__(self, chain_id: int, urls: Sequence[SecretUrl] = ()) -> None:
        super().__init__(chain_id, urls, silence_s=60)
        self.live = True

    def say(self, head: BlockRef) -> None:
        self._tell(head)
