"""A market of Morpho Blue: repaying and adding collateral, the health its model finds in the contract's own figures.

Repaying all of a debt names its shares, since more assets than are owed would revert there; what is approved for it above that is taken
back. Nothing of a call's `data` is used: with it the contract would call the wallet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agent.app.lenders.lender import SeenLoan, as_seen
from agent.app.rescue.doubts import Doubt
from agent.app.settings_tree import Chain
from agent.app.watching.loans import morpho_loan
from agent.domain.errors import Retry, Usage
from agent.margin.morpho_blue import MODEL, Account, debt_raw
from chains.gateway import Gateway
from chains.lending.morpho_blue import MorphoPosition, read_position
from chains.types import Address, BlockRef, Call, ViewReader
from contracts.codec import decode_result, encode
from contracts.morpho_blue import PARAMS

ERRORS = {
    "transferFrom reverted": "the token was not paid: does the wallet hold that much on this chain?",
    "market not created": "there is no such market",
    "zero assets": "the amount is zero",
}
"""The strings of Morpho's ErrorsLib that a payment meets, in words."""


@dataclass(frozen=True)
class MorphoMarket:
    """`params` are MarketParams of IMorpho.sol."""

    chain: Chain
    market: str
    params: Mapping[str, Any]

    @property
    def words(self) -> str:
        return f"the Morpho Blue market {self.market[:10]}…"

    @property
    def contract(self) -> Address:
        return Address(self.chain.morpho)

    @property
    def errors(self) -> Mapping[str, str]:
        return ERRORS

    def calls(
        self, verb: str, token: Address, raw: int, wallet: Address, seen: SeenLoan | None, time_s: int
    ) -> tuple[Call, ...]:
        """Raises Usage NOT_HERE for anything but repaying the loan's token and supplying the collateral's."""
        params = dict(self.params)
        means = {"repay": params["loanToken"], "supply": params["collateralToken"]}
        if means.get(verb) != token or seen is None or not isinstance(seen.account, Account):
            raise Usage("NOT_HERE", f"{self.words}: cannot {verb} {token} there", "see `fairlead health`")
        approve = Call(token, encode("erc20", "approve", (self.contract, raw)))
        if verb == "supply":
            data = encode("morpho_blue", "supplyCollateral", (params, raw, wallet, b""))
            return (approve, Call(self.contract, data))
        whole = raw >= debt_raw(seen.account, time_s)
        amounts = (0, seen.account.borrow_shares_raw) if whole else (raw, 0)
        act = encode("morpho_blue", "repay", (params, *amounts, wallet, b""))
        back = (Call(token, encode("erc20", "approve", (self.contract, 0))),) if whole else ()
        return (approve, Call(self.contract, act), *back)

    def asked(self, wallet: Address) -> tuple[Call, ...]:
        key, contract = bytes.fromhex(self.market[2:]), self.contract
        return (
            Call(contract, encode("morpho_blue", "position", (key, wallet))),
            Call(contract, encode("morpho_blue", "market", (key,))),
            Call(Address(self.params["oracle"]), encode("morpho_oracle", "price")),
        )

    def health(self, answers: Sequence[bytes], seen: SeenLoan | None, time_s: int) -> int | None:
        """The contract tells no factor: its own shares, totals and price are put through its own rule."""
        assert seen is not None and isinstance(seen.account, Account)
        position = decode_result("morpho_blue", "position", answers[0])
        totals = decode_result("morpho_blue", "market", answers[1])
        account = replace(
            seen.account,
            borrow_shares_raw=int(position[1]),
            collateral_raw=int(position[2]),
            total_borrow_assets_raw=int(totals[2]),
            total_borrow_shares_raw=int(totals[3]),
            last_update=int(totals[4]),
            oracle_price_1e36=int(decode_result("morpho_oracle", "price", answers[2])[0]),
        )
        return MODEL.at_moves(account, {}, time_s)

    async def look(self, gateway: ViewReader, wallet: Address) -> SeenLoan | None:
        loan = await morpho_loan(self.chain, gateway, self.market, wallet)
        return as_seen(self.chain, f"morpho_blue:eip155:{self.chain.chain_id}:{self.market}", MODEL, loan)

    async def health_at(self, gateway: Gateway, wallet: Address, block: BlockRef) -> int | None:
        from agent.app.watching.loans import morpho_account

        found = await read_position(gateway, self.contract, self.market, wallet, block.number)
        return MODEL.at_moves(morpho_account(found, self.chain.chain_id), {}, found.block.timestamp)

    async def stale(
        self, gateway: Gateway, seen: SeenLoan, limit_s: Callable[[Address | None], int]
    ) -> list[Doubt]:
        """A market's oracle tells a price and no age; that is told, and nothing is sold by it."""
        message = f"{self.words}: its price source does not tell its age"
        hint = "compare the price with another source; it is what the market would liquidate by"
        return [Doubt("ORACLE_AGE_UNKNOWN", message, hint, no_sale=True)]


async def lender(chain: Chain, gateway: Gateway, market: str, wallet: Address) -> MorphoMarket | None:
    """None where there is no such market. Raises Retry where the chain does not answer."""
    try:
        found = await read_position(gateway, Address(chain.morpho), market, wallet)
    except Retry as error:
        if error.code == "NO_SUCH_MARKET":
            return None
        raise
    return MorphoMarket(chain, market, params_of(found))


def params_of(found: MorphoPosition) -> dict[str, Any]:
    values = (found.loan, found.collateral, found.oracle, found.irm, found.lltv_1e18)
    return dict(zip(PARAMS, values, strict=True))
