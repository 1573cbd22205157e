"""A market of Compound III: repaying and adding collateral by `Comet.supply`, the health its model finds in the contract's own figures.

`supply` acts for its caller. Of the base asset it repays what is owed first and lends the rest, so that a debt is paid whole by naming
2**256-1, which the contract takes for exactly what is owed (Comet.supplyInternal); what was approved for it above that is taken back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from agent.app.lenders.lender import SeenLoan, as_seen
from agent.app.rescue.doubts import Doubt, feed_doubts
from agent.app.settings_tree import Chain
from agent.app.watching.loans import comet_account, comet_loan
from agent.domain.errors import Retry, Usage
from agent.domain.instruments import AssetId
from agent.execution.settlement import token_of
from agent.margin.compound_v3 import MODEL, Account, present_raw
from chains.gateway import Gateway
from chains.lending.compound_v3 import CometMarket, read_account, read_market
from chains.types import Address, BlockRef, Call, ViewReader
from contracts.codec import decode_result, encode

UINT_MAX = 2**256 - 1
ERRORS = {
    "comet: BadAsset()": "the market does not take this asset",
    "comet: Paused()": "the market takes nothing in at present",
    "comet: SupplyCapExceeded()": "the market's cap of this collateral is reached",
    "comet: TransferInFailed()": "the token was not paid: does the wallet hold that much on this chain?",
}
"""Comet's own errors that a payment meets, in words."""


@dataclass(frozen=True)
class CometLender:
    chain: Chain
    market: CometMarket

    @property
    def words(self) -> str:
        return f"the Compound III market {self.contract}"

    @property
    def contract(self) -> Address:
        return self.market.comet

    @property
    def errors(self) -> Mapping[str, str]:
        return ERRORS

    def calls(
        self, verb: str, token: Address, raw: int, wallet: Address, seen: SeenLoan | None, time_s: int
    ) -> tuple[Call, ...]:
        """Raises Usage NOT_HERE for anything but repaying the base asset and supplying collateral."""
        repays = verb == "repay" and token == self.market.base
        if not repays and not (verb == "supply" and token in self.market.collateral):
            raise Usage("NOT_HERE", f"{self.words}: cannot {verb} {token} there", "see `fairlead health`")
        if seen is None or not isinstance(seen.account, Account):
            raise Usage("NOT_HERE", f"{self.words}: the wallet has no account there", "see `fairlead health`")
        whole = repays and raw >= -present_raw(seen.account, time_s)
        approve = Call(token, encode("erc20", "approve", (self.contract, raw)))
        pay = Call(self.contract, encode("comet", "supply", (token, UINT_MAX if whole else raw)))
        back = (Call(token, encode("erc20", "approve", (self.contract, 0))),) if whole else ()
        return (approve, pay, *back)

    def asked(self, wallet: Address) -> tuple[Call, ...]:
        held = [encode("comet", "userCollateral", (wallet, asset)) for asset in self.market.collateral]
        asked = [encode("comet", "userBasic", (wallet,)), encode("comet", "totalsBasic"), *held]
        return tuple(Call(self.contract, data) for data in asked)

    def health(self, answers: Sequence[bytes], seen: SeenLoan | None, time_s: int) -> int | None:
        """Comet has no factor: its own principal, indices and balances are put through its own rule."""
        assert seen is not None and isinstance(seen.account, Account)
        basic, totals = (
            decode_result("comet", name, answer)
            for name, answer in zip(("userBasic", "totalsBasic"), answers, strict=False)
        )
        held = {
            asset: int(decode_result("comet", "userCollateral", answer)[0])
            for asset, answer in zip(self.market.collateral, answers[2:], strict=True)
        }
        account = replace(
            seen.account,
            principal_raw=int(basic[0]),
            supply_index_1e15=int(totals[0]),
            borrow_index_1e15=int(totals[1]),
            last_update=int(totals[6]),
            collateral=tuple(
                replace(c, balance_raw=held[token_of(AssetId(c.asset))]) for c in seen.account.collateral
            ),
        )
        return MODEL.at_moves(account, {}, time_s)

    async def look(self, gateway: ViewReader, wallet: Address) -> SeenLoan | None:
        loan = await comet_loan(self.chain, gateway, self.contract, wallet)
        return as_seen(self.chain, f"compound_v3:eip155:{self.chain.chain_id}:{self.contract}", MODEL, loan)

    async def health_at(self, gateway: Gateway, wallet: Address, block: BlockRef) -> int | None:
        found = await read_account(gateway, self.contract, wallet, block.number)
        return MODEL.at_moves(comet_account(found, self.chain.chain_id), {}, found.block.timestamp)

    async def stale(
        self, gateway: Gateway, seen: SeenLoan, limit_s: Callable[[Address | None], int]
    ) -> list[Doubt]:
        """The age of the feeds of what is owed and of each collateral that the account holds."""
        if not isinstance(seen.account, Account):
            return []
        held = {token_of(AssetId(asset)): asset for asset in seen.account.prices()}
        feeds = [
            (seen.symbols.get(held[asset], asset), feed)
            for asset, feed in self.market.feeds.items()
            if asset in held
        ]
        return await feed_doubts(gateway, feeds, limit_s)


async def lender(chain: Chain, gateway: Gateway, comet: Address) -> CometLender:
    """What stands there and is no such market is seen as an account that is UNKNOWN. Raises Retry where the chain does not answer."""
    try:
        return CometLender(chain, await read_market(gateway, comet))
    except Retry as error:
        if error.code != "MALFORMED_ANSWER":
            raise
        return CometLender(chain, CometMarket(comet, comet, {}))
