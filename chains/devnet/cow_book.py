"""What the local order book keeps and judges: orders against balances, allowances and signatures on the chain, quotes, status, faults.

An order's status follows from the settlement contract (filledAmount, Trade logs, preSignature) and the chain's clock, but for what an
off-chain cancellation hides from solvers. `Faults` are what a test has it do wrong.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from eth_utils.crypto import keccak

from chains.devnet import cow_orders, cow_solver
from chains.devnet.addresses import COW
from chains.devnet.artifacts import artifact
from chains.devnet.cow_orders import MAX_UINT, SETTLEMENT, Order, Refused
from chains.devnet.jsonrpc import Rpc, RpcError

LEAST_S, MOST_S = 60, 3 * 3600
"""How long after now an order must, and may, be valid."""
QUOTE_S = 60
GAS = 300_000
TRADE = "0x" + keccak(text="Trade(address,address,address,uint256,uint256,uint256,bytes)").hex()
MAGIC = bytes.fromhex("1626ba7e")


@dataclass
class Faults:
    """`hold`: nothing is settled. `share_bps`: how much of a partially fillable order each settlement takes. `status`: what is said of
    every order. `lose`: so many posts are kept and not answered. `refuse`: so many posts get this errorType, kept or not (`keep`).
    `quote`: fields put over a quote's own."""

    hold: bool = False
    share_bps: int = 10_000
    status: str = ""
    lose: int = 0
    refuse: str = ""
    keep: bool = False
    quote: dict[str, Any] = field(default_factory=dict)


@dataclass
class Kept:
    order: Order
    created: str
    cancelled: bool = False


class Book:
    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc
        self.chain_id = int(rpc("eth_chainId"), 16)
        self.orders: dict[str, Kept] = {}
        self.faults = Faults()
        self._quotes: dict[int, float] = {}

    # ------------------------------------------------------------------ quotes

    def quote(self, body: Mapping[str, Any]) -> dict[str, Any]:
        buys = cow_orders.kind(body) == "buy"
        if ("buyAmountAfterFee" if buys else "sellAmountBeforeFee") not in body:
            why = "this local book quotes sellAmountBeforeFee for a sale, buyAmountAfterFee for a purchase"
            raise Refused(400, "UnsupportedOrderType", why)
        sell, buy = cow_orders.address(body, "sellToken"), cow_orders.address(body, "buyToken")
        if sell == buy:
            raise Refused(400, "SameBuyAndSellToken", sell)
        if buys:
            wanted = cow_orders.amount(body, "buyAmountAfterFee")
            if not wanted:
                raise Refused(400, "ZeroAmount", "buyAmountAfterFee is above zero")
            swap = cow_solver.cheapest_swap(self._rpc, sell, buy, wanted)
            fee = 0 if swap is None else cow_solver.network_share(swap.in_raw)
        else:
            given = cow_orders.amount(body, "sellAmountBeforeFee")
            fee = cow_solver.network_share(given)
            if given <= fee:
                raise Refused(400, "SellAmountDoesNotCoverFee", "sellAmountBeforeFee is too small")
            swap = cow_solver.best_swap(self._rpc, sell, buy, given - fee)
        if swap is None:
            raise Refused(404, "NoLiquidity", "no route found")
        now = self._head()["at"]
        valid_to = body.get("validTo", now + body.get("validFor", 1800))
        self._check_valid_to(valid_to, now)
        number = len(self._quotes) + 1
        self._quotes[number] = time.monotonic() + QUOTE_S
        quote = {
            "sellToken": sell, "buyToken": buy, "receiver": body.get("receiver"), "sellAmount": str(swap.in_raw),
            "buyAmount": str(swap.out_raw), "validTo": valid_to, "appData": body.get("appData", "{}"),
            "appDataHash": "0x" + cow_orders.app_data_hash({"appData": "{}", **body}).hex(), "feeAmount": str(fee),
            "gasAmount": str(GAS), "gasPrice": str(int(self._rpc("eth_gasPrice"), 16)), "sellTokenPrice": "1", "kind": body["kind"],
            "partiallyFillable": bool(body.get("partiallyFillable", False)), "sellTokenBalance": "erc20",
            "buyTokenBalance": "erc20", "signingScheme": body.get("signingScheme", "eip712"),
        }  # fmt: skip
        expiration = datetime.fromtimestamp(time.time() + QUOTE_S, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return {
            "quote": quote | self.faults.quote,
            "from": str(body.get("from", "")).lower(),
            "expiration": expiration,
            "id": number,
            "verified": True,
        }

    # ------------------------------------------------------------------ orders

    def post(self, body: Mapping[str, Any]) -> str:
        """The UID under which the order is kept."""
        if self.faults.refuse and not self.faults.keep:
            raise Refused(400, self.faults.refuse, "as asked for")
        order = cow_orders.read(self.chain_id, body)
        if order.uid in self.orders:
            raise Refused(400, "DuplicatedOrder", "order already exists")
        number = body.get("quoteId")
        if number is not None and self._quotes.get(number, 0) < time.monotonic():
            raise Refused(400, "QuoteNotFound", f"quote {number} is unknown or too old")
        self._check_valid_to(order.valid_to, self._head()["at"])
        if order.scheme == "eip1271" and not self._answers(order):
            raise Refused(400, "InvalidEip1271Signature", f"{order.owner} does not answer for the order")
        if order.scheme != "presign":
            self._check_money(order)
        self.orders[order.uid] = Kept(order, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
        if self.faults.refuse:
            raise Refused(400, self.faults.refuse, "as asked for, and kept")
        return order.uid

    def _check_valid_to(self, valid_to: Any, now: int) -> None:
        if type(valid_to) is not int or valid_to < now + LEAST_S:
            raise Refused(400, "InsufficientValidTo", f"validTo is not {LEAST_S} s ahead")
        if valid_to > now + MOST_S:
            raise Refused(400, "ExcessiveValidTo", f"validTo is more than {MOST_S} s ahead")

    def _answers(self, order: Order) -> bool:
        data = artifact("CompatibilityFallbackHandler").call(
            "isValidSignature(bytes32,bytes)", order.digest, order.signature
        )
        try:
            return self._call(order.owner, data)[:4] == MAGIC
        except RpcError:
            return False

    def _check_money(self, order: Order) -> None:
        token, wanted = artifact("MockERC20"), 1 if order.partially else order.sell_raw
        if int.from_bytes(self._call(order.sell, token.call("balanceOf", order.owner)), "big") < wanted:
            raise Refused(400, "InsufficientBalance", f"{order.owner} holds too little of {order.sell}")
        allowance = token.call("allowance", order.owner, COW["GPv2VaultRelayer"])
        if int.from_bytes(self._call(order.sell, allowance), "big") < wanted:
            raise Refused(400, "InsufficientAllowance", f"{order.owner} allows the vault relayer too little")

    def cancel(self, body: Mapping[str, Any]) -> None:
        uids, scheme = body.get("orderUids"), body.get("signingScheme")
        if not isinstance(uids, list) or not all(isinstance(uid, str) for uid in uids):
            raise Refused(422, "InvalidBody", "orderUids")
        if scheme not in ("eip712", "ethsign"):
            raise Refused(422, "InvalidBody", "signingScheme is eip712 or ethsign")
        digest = cow_orders.cancellation_digest(self.chain_id, uids)
        signer = cow_orders.recover(digest, cow_orders.hexadecimal(body, "signature"), scheme)
        for uid in uids:
            kept = self.known(uid)
            if kept.order.owner != signer:
                raise Refused(401, "WrongOwner", f"{signer} does not own {uid}")
            status = self.status(kept)
            for name, kind in (
                ("cancelled", "AlreadyCancelled"),
                ("fulfilled", "OrderFullyExecuted"),
                ("expired", "OrderExpired"),
            ):
                if status == name:
                    raise Refused(400, kind, uid)
        for uid in uids:
            self.orders[uid].cancelled = True

    # ------------------------------------------------------------------ what is told

    def known(self, uid: str) -> Kept:
        kept = self.orders.get(uid.lower())
        if kept is None:
            raise Refused(404, "NotFound", "order not found")
        return kept

    def filled_raw(self, order: Order) -> int:
        """What the contract says was sold, or bought of a purchase; MAX_UINT where the order was invalidated."""
        data = artifact("GPv2Settlement").call("filledAmount", bytes.fromhex(order.uid[2:]))
        return int.from_bytes(self._call(SETTLEMENT, data), "big")

    def status(self, kept: Kept) -> str:
        order = kept.order
        filled = self.filled_raw(order)
        if filled == MAX_UINT or kept.cancelled:
            return "cancelled"
        if filled >= order.whole_raw:
            return "fulfilled"
        if self._head()["at"] > order.valid_to:
            return "expired"
        if order.scheme == "presign":
            data = artifact("GPv2Settlement").call("preSignature", bytes.fromhex(order.uid[2:]))
            if not int.from_bytes(self._call(SETTLEMENT, data), "big"):
                return "presignaturePending"
        return "open"

    def trades(self, uid: str) -> list[dict[str, Any]]:
        order, event = self.known(uid).order, artifact("GPv2Settlement")
        owner = "0x" + "0" * 24 + order.owner[2:].lower()
        asked = {"address": SETTLEMENT, "topics": [TRADE, owner], "fromBlock": "0x0", "toBlock": "latest"}
        found = []
        for log in self._rpc("eth_getLogs", asked):
            sell, buy, sold, bought, _, named = event.event("Trade", bytes.fromhex(log["data"][2:]))
            if "0x" + named.hex() != order.uid:
                continue
            found.append(
                {
                    "blockNumber": int(log["blockNumber"], 16), "logIndex": int(log["logIndex"], 16), "orderUid": order.uid,
                    "owner": order.owner.lower(), "sellToken": sell, "buyToken": buy, "sellAmount": str(sold),
                    "sellAmountBeforeFees": str(sold), "buyAmount": str(bought), "txHash": log["transactionHash"],
                }
            )  # fmt: skip
        return list(reversed(found))

    def told(self, uid: str) -> dict[str, Any]:
        kept = self.known(uid)
        order, trades = kept.order, self.trades(uid)
        sold, bought = (sum(int(t[name]) for t in trades) for name in ("sellAmount", "buyAmount"))
        return {
            **order.body, "appData": "0x" + order.app_data.hex(), "fullAppData": order.body["appData"],
            "creationDate": kept.created, "class": "limit", "owner": order.owner.lower(), "uid": order.uid,
            "availableBalance": None, "executedSellAmount": str(sold), "executedSellAmountBeforeFees": str(sold),
            "executedBuyAmount": str(bought), "executedFeeAmount": "0", "executedFee": str(cow_solver.network_share(sold)),
            "executedFeeToken": order.sell.lower(), "invalidated": kept.cancelled,
            "status": self.faults.status or self.status(kept), "isLiquidityOrder": False,
            "settlementContract": SETTLEMENT.lower(), "interactions": {"pre": [], "post": []},
        }  # fmt: skip

    def solve(self) -> None:
        """Settles whatever can be settled now, each order once."""
        if self.faults.hold:
            return
        for kept in list(self.orders.values()):
            if self.status(kept) != "open":
                continue
            order, filled = kept.order, self.filled_raw(kept.order)
            left = order.whole_raw - filled
            share = max(1, order.whole_raw * self.faults.share_bps // 10_000) if order.partially else left
            cow_solver.settle(self._rpc, order, min(left, share))

    def _head(self) -> dict[str, int]:
        block = self._rpc("eth_getBlockByNumber", "latest", False)
        return {"number": int(block["number"], 16), "at": int(block["timestamp"], 16)}

    def _call(self, to: str, data: bytes) -> bytes:
        answer: str = self._rpc("eth_call", {"to": to, "data": "0x" + data.hex()}, "latest")
        return bytes.fromhex(answer[2:])
