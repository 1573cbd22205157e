"""Which views tell an account's own state, and which logs of the contract that answers them name the account when that state changes.

Sources: aave core-v3 (Transfer, Mint, Burn, BalanceTransfer of the tokens), compound-finance/comet (Comet.sol), morpho-org/morpho-blue
(EventsLib.sol), makerdao/dss (vat.sol, the anonymous log of `note`: selector, then the first three arguments), curvefi crvUSD (Controller.vy),
liquity/bold (ITroveEvents.sol), gmx-synthetics (EventEmitter.sol, PositionEventUtils.sol: EventLog1, the account its second topic).
"""

from __future__ import annotations

from dataclasses import dataclass

from chains.evm import address_of, selector
from chains.types import Address, Call, CallResult

WORD = 32


@dataclass(frozen=True, slots=True)
class AccountView:
    """`argument`: which word of the arguments says whose state it is. `places`: the topics in which a log that changed it has that word.
    `words`: those of the answer that nothing changes without such a log, None for all of them. `kept`: asked for again only after one, for asking would cost a
    request; the others come with the market's own figures, which are read at each block anyhow. `elsewhere`: another contract logs, which settings name."""

    argument: int
    places: tuple[int, ...]
    words: tuple[int, ...] | None
    kept: bool = False
    elsewhere: bool = False

    def same(self, one: CallResult, other: CallResult) -> bool:
        """Whether two answers are the same in all that only a log of the account changes."""
        if self.words is None:
            return one == other
        return (
            one.ok is other.ok
            and len(one.data) == len(other.data)
            and all(
                one.data[n * WORD : (n + 1) * WORD] == other.data[n * WORD : (n + 1) * WORD]
                for n in self.words
            )
        )


VIEWS = {
    selector(signature): view
    for signature, view in {
        "scaledBalanceOf(address)": AccountView(0, (1, 2), (0,), kept=True),
        "principalBalanceOf(address)": AccountView(0, (1, 2), (0,), kept=True),
        "userCollateral(address,address)": AccountView(0, (1, 2), (0,)),
        # Base that is lent on by a borrower to one who owes (Comet's transfer) is logged by nothing.
        "userBasic(address)": AccountView(0, (1, 2), ()),
        # The first word is supply shares: the fee's receiver is given some without a log of his.
        "position(bytes32,address)": AccountView(1, (2, 3), (1, 2)),
        "urns(bytes32,address)": AccountView(1, (2, 3), (0, 1)),
        # The debt is with its interest.
        "debt(address)": AccountView(0, (1, 2), ()),
        # The place in the list of troves, the fifth word, changes as others close theirs.
        "Troves(uint256)": AccountView(0, (1,), (0, 1, 2, 3, 5, 6, 7, 8, 9)),
        "getAccountPositions(address,address,uint256,uint256)": AccountView(1, (2,), None, elsewhere=True),
    }.items()
}


def view_of(call: Call) -> AccountView | None:
    """None for a call that asks for no account's own state."""
    view = VIEWS.get(call.data[:4])
    if view is None or call.value or len(call.data) < 4 + WORD * (view.argument + 1):
        return None
    return view


def subject_of(call: Call) -> bytes:
    """Whose state `call` asks for, as a topic has it: an address left-padded, or a trove's id. The call is one of VIEWS."""
    at = 4 + WORD * VIEWS[call.data[:4]].argument
    return call.data[at : at + WORD]


def account_of(subject: bytes) -> Address | None:
    """None for a trove."""
    return None if any(subject[:12]) else address_of(subject)
