"""Genuine Aave V3 pools block by block: a price and a liquidation in each block, and what either did; the model's word on the same moment.

The node mines nothing by itself (`--no-mining`), and every block has the time it is given, so that what was foretold of a block can be
held against it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from agent.app.watching.aave import BY_REVISION, equals_contract, model_account
from agent.domain.instruments import erc20_id
from agent.margin.aave_account import Account
from agent.margin.aave_core import AaveModel
from agent.margin.model import Health, Seized
from chains.devnet.artifacts import artifact
from chains.devnet.jsonrpc import Rpc, RpcError
from chains.gateway import Gateway
from chains.lending.aave_v3 import read_account
from chains.profile import Aave
from chains.rpc import Rpc as Endpoint
from chains.types import Address

NEVER = 2**256 - 1
HEALTHY = "45"
"""HEALTH_FACTOR_NOT_BELOW_THRESHOLD (core-v3 Errors): the account may not be liquidated."""
LIQUIDATOR = "0x11C0000000000000000000000000000000000045"
_ERROR = keccak(text="Error(string)")[:4].hex()
_TAKEN = "0x" + keccak(text="LiquidationCall(address,address,address,uint256,uint256,address,bool)").hex()
_MOVED = "0x" + keccak(text="Transfer(address,address,uint256)").hex()
_GWEI = 10**9


@dataclass(frozen=True, slots=True)
class Loan:
    """One account as it was read: `at` is its block's time. Prices by asset id, in 1e-8."""

    engine: AaveModel
    account: Account
    at: int

    def priced(self, prices: dict[str, int]) -> Account:
        rows = (replace(r, price_1e8=prices.get(r.asset, r.price_1e8)) for r in self.account.reserves)
        return replace(self.account, reserves=tuple(rows))

    def health(self, prices: dict[str, int], timestamp: int) -> Health:
        """What the model foretells of a block of that time with those prices, nothing else having happened."""
        return self.engine.health(self.priced(prices), timestamp)

    def px_1e8(self, asset: str, timestamp: int, prices: dict[str, int] | None = None) -> int:
        """The price of `asset` at which liquidation begins then, all others as they are."""
        found = next(p for p in self.health(prices or {}, timestamp).liquidation_px if p.asset == asset)
        assert found.px_raw is not None
        return found.px_raw


@dataclass(frozen=True, slots=True)
class Taken:
    """What the chain says of one liquidation: the pool's event and the moves of the tokens themselves.

    `fee_raw` went to the reserve's treasury as aTokens, `got_raw` of the collateral and `paid_raw` of the debt moved to and from the
    liquidator.
    """

    repaid_raw: int
    event_collateral_raw: int
    paid_raw: int
    got_raw: int
    fee_raw: int

    def equals(self, seized: Seized) -> bool:
        whole = seized.collateral[0][1]
        return (
            self.repaid_raw == self.paid_raw == seized.repaid_raw
            and self.event_collateral_raw == self.got_raw == whole - seized.fee_raw
            and self.fee_raw == seized.fee_raw
        )


class Pool:
    """`post` puts a price of the oracle's sources where the next block's first transaction can see it."""

    def __init__(self, rpc: Rpc, chain_id: int, market: Aave, post: Callable[[Pool, str, int], None]) -> None:
        self.rpc, self.chain_id, self.market, self._post = rpc, chain_id, market, post

    @contextmanager
    def undone(self) -> Iterator[None]:
        kept = self.rpc("evm_snapshot")
        yield
        self.rpc("evm_revert", kept)
        self.rpc("anvil_dropAllTransactions")

    # ---- blocks

    def now(self) -> int:
        return int(self.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)

    def mine(self, timestamp: int) -> None:
        self.rpc("evm_setNextBlockTimestamp", timestamp)
        self.rpc("evm_mine")
        assert self.now() == timestamp

    def queue(self, sender: str, to: str, data: bytes, tip_gwei: int = 1) -> str:
        self.rpc("anvil_impersonateAccount", sender)
        self.rpc("anvil_setBalance", sender, hex(10**24))
        fees = {"maxFeePerGas": hex(10_000 * _GWEI), "maxPriorityFeePerGas": hex(tip_gwei * _GWEI)}
        call = {"from": sender, "to": to, "data": "0x" + data.hex(), "gas": hex(2_000_000)}
        return str(self.rpc("eth_sendTransaction", call | fees))

    def do(self, sender: str, contract: str, to: str, function: str, *args: object) -> None:
        """One call in a block of its own, a second after the last."""
        sent = self.queue(sender, to, artifact(contract).call(function, *args))
        self.mine(self.now() + 1)
        assert self.rpc("eth_getTransactionReceipt", sent)["status"] == "0x1", function

    def supply(self, who: str, token: str, raw: int) -> None:
        self.do(who, "MockERC20", token, "approve", self.market.pool, raw)
        self.do(who, "AavePool", self.market.pool, "supply", token, raw, who, 0)

    def borrow(self, who: str, token: str, raw: int) -> None:
        self.do(who, "AavePool", self.market.pool, "borrow", token, raw, 2, 0, who)

    # ---- the account

    async def loan(self, who: str) -> Loan:
        """The account by the reader; its own contract's figures are the model's to the last digit."""
        async with aiohttp.ClientSession() as session:
            gate = Gateway(self.chain_id, [Endpoint(self.rpc.url, session)])
            found = await read_account(gate, self.market, Address(to_checksum_address(who)))
        engine, account = BY_REVISION[found.revision], model_account(found, self.chain_id)
        assert equals_contract(account, found, engine)
        return Loan(engine, account, found.block.timestamp)

    def asset(self, token: str) -> str:
        return erc20_id(self.chain_id, Address(to_checksum_address(token)))

    # ---- liquidations

    def _call(self, collateral: str, debt: str, who: str) -> bytes:
        return artifact("AavePool").call("liquidationCall", collateral, debt, who, NEVER, False)

    def asked(self, collateral: str, debt: str, who: str) -> str:
        """The revert's own text of a liquidationCall asked of the latest block, "" where it would go through."""
        data = "0x" + self._call(collateral, debt, who).hex()
        try:
            self.rpc("eth_call", {"from": LIQUIDATOR, "to": self.market.pool, "data": data}, "latest")
        except RpcError as error:
            return reason(error.data)
        return ""

    def block(
        self, collateral: str, debt: str, who: str, prices: dict[str, int], timestamp: int
    ) -> Taken | str:
        """One block: the prices, then a liquidation of all that may be. What it took, or why it was refused.

        The call is asked of the same block without it first, and must answer as the sent one does.
        """
        with self.undone():
            self._moved(prices)
            self.mine(timestamp)
            told = self.asked(collateral, debt, who)
        self._moved(prices)
        sent = self.queue(LIQUIDATOR, self.market.pool, self._call(collateral, debt, who))
        self.mine(timestamp)
        receipt = self.rpc("eth_getTransactionReceipt", sent)
        assert receipt["blockNumber"] == self.rpc("eth_blockNumber"), "mined in the block with that time"
        assert (receipt["status"] == "0x1") == (told == ""), told
        return told or self._taken(receipt, collateral, debt)

    def _moved(self, prices: dict[str, int]) -> None:
        for token, px in prices.items():
            self._post(self, token, px)

    def _taken(self, receipt: dict[str, Any], collateral: str, debt: str) -> Taken:
        (event,) = (log for log in receipt["logs"] if log["topics"][0] == _TAKEN)
        words = bytes.fromhex(event["data"][2:])
        # Indexed: collateral, debt, user. In the data: debt, collateral, liquidator, whether aTokens were asked for.
        repaid, taken = (int.from_bytes(words[n : n + 32], "big") for n in (0, 32))
        a_token = self.reserve(collateral)[8]
        treasury = self._address(a_token, "RESERVE_TREASURY_ADDRESS")
        moves = [log for log in receipt["logs"] if log["topics"][0] == _MOVED]

        def moved(token: str, side: int, who: str) -> int:
            return sum(
                int(log["data"], 16)
                for log in moves
                if log["address"].lower() == token.lower() and int(log["topics"][side], 16) == int(who, 16)
            )

        paid, got = moved(debt, 1, LIQUIDATOR), moved(collateral, 2, LIQUIDATOR)
        return Taken(repaid, taken, paid, got, moved(a_token, 2, treasury))

    def reserve(self, token: str) -> tuple[Any, ...]:
        """DataTypes.ReserveData; the aToken is its ninth."""
        data = "0x" + artifact("AavePool").call("getReserveData", token).hex()
        answer = self.rpc("eth_call", {"to": self.market.pool, "data": data}, "latest")
        found: tuple[Any, ...] = artifact("AavePool").read("getReserveData", bytes.fromhex(answer[2:]), 1)[0]
        return found

    def _address(self, to: str, getter: str) -> str:
        answer = self.rpc(
            "eth_call", {"to": to, "data": "0x" + keccak(text=f"{getter}()")[:4].hex()}, "latest"
        )
        return to_checksum_address("0x" + answer[-40:])


def reason(data: Any) -> str:
    """The text of Error(string), or the data itself where it is none."""
    plain = str(data or "").removeprefix("0x")
    if not plain.startswith(_ERROR):
        return f"reverted with {plain or 'nothing'}"
    raw = bytes.fromhex(plain[8:])
    return raw[64 : 64 + int.from_bytes(raw[32:64], "big")].decode()
