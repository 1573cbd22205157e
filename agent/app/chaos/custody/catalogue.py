"""Every attack there is, in one list that never changes its order: the order by seed is `run`'s."""

from __future__ import annotations

from agent.app.chaos.custody import gate_attacks, signer_moves
from agent.app.chaos.custody.moves import Move, against_the_gate


def every() -> list[Move]:
    found = []
    for families in (gate_attacks.FAMILIES,):
        for family, attacks in families.items():
            found += [against_the_gate(family, attack) for attack in attacks]
    return found + signer_moves.moves()
