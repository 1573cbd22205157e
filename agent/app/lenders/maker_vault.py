"""A vault at Maker (Sky): debt repaid and collateral added by the wallet itself, whoever holds the vault.

    repay   Jug.drip(ilk) · DaiJoin.join(wallet, raw) · Vat.frob(ilk, urn, wallet, wallet, 0, −dart)
    supply  GemJoin.join(wallet, raw) · Vat.frob(ilk, urn, wallet, wallet, dink, 0)

Vat.frob asks nobody's consent where a vault becomes safer. Debt is counted in `art`, of which one is worth the ilk's rate: what `raw` buys
is counted at the rate of a quarter of an hour later, so that the batch holds in any block until its deadline. The interest between stays
the wallet's own, inside the Vat.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from agent.app.lenders.lender import SeenLoan, as_seen
from agent.app.rescue.doubts import Doubt
from agent.app.settings_maker import Maker, MakerUrn
from agent.app.settings_tree import Chain
from agent.app.watching.maker import core_of, maker_account, maker_loan, maker_name
from agent.domain.errors import Usage
from agent.domain.instruments import AssetId
from agent.execution.settlement import token_of
from agent.margin.maker_vault import MODEL, Account, art_repaid
from chains.gateway import Gateway
from chains.lending.maker_vault import price_of, read_vault
from chains.types import Address, BlockRef, Call, ViewReader
from contracts.codec import decode_result, encode

ERRORS = {
    "Vat/dust": "what would be left of the debt is less than the least the vault may owe: repay less, or all of it",
    "Vat/not-live": "the protocol is shut down",
    "DaiJoin/not-live": "the protocol is shut down",
    "GemJoin/not-live": "the adapter takes nothing any more",
    "GemJoin/failed-transfer": "the token was not paid: does the wallet hold that much on this chain?",
    "Dai/insufficient-balance": "the token was not paid: does the wallet hold that much on this chain?",
}
"""The strings of dss that a payment meets, in words."""


@dataclass(frozen=True)
class MakerLender:
    chain: Chain
    maker: Maker
    vault: MakerUrn

    @property
    def words(self) -> str:
        return f"the Maker vault {self.vault.ilk} {self.vault.urn[:10]}…"

    @property
    def contract(self) -> Address:
        return Address(self.maker.vat)

    @property
    def errors(self) -> Mapping[str, str]:
        return ERRORS

    def calls(
        self, verb: str, token: Address, raw: int, wallet: Address, seen: SeenLoan | None, time_s: int
    ) -> tuple[Call, ...]:
        """Raises Usage NOT_HERE for anything but repaying the debt and adding the collateral."""
        account = seen.account if seen is not None else None
        if not isinstance(account, Account):
            raise Usage("NOT_HERE", f"{self.words}: it was not read", "see `fairlead health`")
        means = {"repay": account.debt, "supply": account.collateral}
        if verb not in means or token_of(AssetId(means[verb])) != token:
            raise Usage("NOT_HERE", f"{self.words}: cannot {verb} {token} there", "see `fairlead health`")
        vault, jug, vat = self.vault, Address(self.maker.jug), self.contract
        join = Address(self.maker.dai_join if verb == "repay" else vault.join)
        paid = (
            Call(token, encode("erc20", "approve", (join, raw))),
            Call(join, encode("maker_join", "join", (wallet, raw))),
        )
        if verb == "supply":
            dink = raw * 10 ** (18 - account.collateral_decimals)
            return (
                *paid,
                Call(vat, encode("maker_vat", "frob", (vault.key, vault.urn, wallet, wallet, dink, 0))),
            )
        dart = -art_repaid(account, raw, time_s)
        drip = Call(jug, encode("maker_jug", "drip", (vault.key,)))
        act = encode("maker_vat", "frob", (vault.key, vault.urn, wallet, wallet, 0, dart))
        return (drip, *paid, Call(vat, act))

    def asked(self, wallet: Address) -> tuple[Call, ...]:
        key = self.vault.key
        return (
            Call(self.contract, encode("maker_vat", "urns", (key, self.vault.urn))),
            Call(self.contract, encode("maker_vat", "ilks", (key,))),
            Call(Address(self.maker.jug), encode("maker_jug", "ilks", (key,))),
        )

    def health(self, answers: Sequence[bytes], seen: SeenLoan | None, time_s: int) -> int | None:
        """The Vat tells no factor: its own figures are put through its own rule, the rate dripped to that time."""
        assert seen is not None and isinstance(seen.account, Account)
        urn, ilk = (decode_result("maker_vat", n, a) for n, a in zip(("urns", "ilks"), answers, strict=False))
        account = replace(
            seen.account,
            ink_1e18=int(urn[0]),
            art_1e18=int(urn[1]),
            rate_1e27=int(ilk[1]),
            price_1e18=price_of(int(ilk[2]), seen.account.par_1e27, seen.account.mat_1e27),
            last_update=int(decode_result("maker_jug", "ilks", answers[2])[1]),
        )
        return MODEL.factor(account, time_s)

    async def look(self, gateway: ViewReader, wallet: Address) -> SeenLoan | None:
        loan = await maker_loan(self.chain, gateway, self.maker, self.vault)
        return as_seen(self.chain, maker_name(self.chain, self.vault), MODEL, loan)

    async def health_at(self, gateway: Gateway, wallet: Address, block: BlockRef) -> int | None:
        vault = self.vault
        found = await read_vault(
            gateway,
            core_of(self.maker),
            vault.key,
            Address(vault.urn),
            Address(vault.join),
            Address(vault.collateral),
            block.number,
        )
        return MODEL.factor(maker_account(found, self.chain.chain_id), found.block.timestamp)

    async def stale(
        self, gateway: Gateway, seen: SeenLoan, limit_s: Callable[[Address | None], int]
    ) -> list[Doubt]:
        """The next price waits behind the protocol's delay and shows itself to nobody else; that is told, and nothing is sold by the old one."""
        message = f"{self.words}: its price is up to an hour behind the market, and does not tell its age"
        hint = "compare it with the market's: the next poke may bring that"
        return [Doubt("ORACLE_AGE_UNKNOWN", message, hint, no_sale=True)]


def lender(chain: Chain, maker: Maker, vault: MakerUrn) -> MakerLender:
    return MakerLender(chain, maker, vault)
