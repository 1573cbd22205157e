"""What the chain has of a scope, reading by reading."""

from __future__ import annotations

from agent.app.chaos.custody.world import Gated
from keys.scope_state import readings


def found(world: Gated) -> dict[str, bytes]:
    answers = {}
    for reading in readings(world.scope, world.creation):
        if reading.kind == "code":
            told = world.rpc("eth_getCode", reading.call.to, "latest")
        else:
            told = world.rpc(
                "eth_call", {"to": reading.call.to, "data": "0x" + reading.call.data.hex()}, "latest"
            )
        answers[reading.key] = bytes.fromhex(told[2:])
    return answers
