"""What a transaction would change, told to the owners before any of them signs: the state diff beside the decoded calls.

The decoded calls come from the owner's own process, which trusts nobody; the effects from this machine's rehearsal. An order's own plan was
shown when it was asked for; this is the very Safe transaction that is about to be signed, at the chain's present state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.app.multisig.effects import effects_of
from agent.app.multisig.room import known_tokens
from agent.app.multisig.state import safe_now
from agent.app.signatures import Show
from agent.domain.errors import FairleadError
from chains.types import Address
from keys.safe import SafeTx

if TYPE_CHECKING:
    from agent.app.wiring import App


def effects_shown(app: App) -> Show:
    """Sentences of what leaves, what comes, which approvals, changes of the Safe, and health before and after."""

    async def show(chain_id: int, safe: Address, tx: SafeTx) -> list[str]:
        desk, chain = app.chains[chain_id], app.settings.chain(chain_id)
        assert desk.simulator is not None and desk.sender is not None and chain is not None
        try:
            now = await safe_now(desk.gateway, safe)
            known = await known_tokens(app.settings, chain, desk.gateway)
            found = await effects_of(
                desk.simulator, desk.profile, safe, tx, desk.sender, known, now.state, now.block
            )
        except FairleadError as error:
            if error.verb == "HALT":
                raise
            return [f"WHAT IT CHANGES WAS NOT FOUND OUT: {error.message}."]
        return found.sentences()

    return show
