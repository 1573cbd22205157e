"""Every attack there is, in one list that never changes its order: the order by seed is `run`'s."""

from __future__ import annotations

from agent.app.chaos.custody import (
    account_moves,
    approval_attacks,
    delegation_moves,
    door_attacks,
    exchange_moves,
    executor_attacks,
    flash_attacks,
    further_attacks,
    gate_attacks,
    hook_attacks,
    journal_moves,
    mutation_moves,
    offer_attacks,
    optimising,
    paymaster_attacks,
    payment_attacks,
    replay_moves,
    router_attacks,
    signer_moves,
)
from agent.app.chaos.custody.attack import Attack
from agent.app.chaos.custody.moves import Move, against_the_gate

GATE: dict[str, tuple[Attack, ...]] = {
    **gate_attacks.FAMILIES,
    **approval_attacks.FAMILIES,
    **door_attacks.FAMILIES,
    **paymaster_attacks.FAMILIES,
    **hook_attacks.FAMILIES,
    **executor_attacks.FAMILIES,
    **router_attacks.FAMILIES,
    **offer_attacks.FAMILIES,
    **flash_attacks.FAMILIES,
    **payment_attacks.FAMILIES,
    **further_attacks.FAMILIES,
}
"""The tables of attacks on Safe, modifier and Gate, by family."""


def every() -> list[Move]:
    found = [against_the_gate(family, attack) for family, attacks in GATE.items() for attack in attacks]
    return [
        *optimising.moves(),
        *found,
        *hook_attacks.moves(),
        *router_attacks.moves(),
        *delegation_moves.moves(),
        *replay_moves.moves(),
        *mutation_moves.moves(),
        *signer_moves.moves(),
        *exchange_moves.moves(),
        *journal_moves.moves(),
        *account_moves.moves(),
    ]
