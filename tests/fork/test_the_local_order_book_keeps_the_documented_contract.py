"""The devnet's CoW order book against its documentation: what it takes, every refusal by its name, cancellations, and settlement of an
ordinary account's order signed by EIP-712 or eth_sign. Accounts, amounts and the chain are real; the client is plain HTTP."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
from cow_book import SOUND, ask, cow_book, faults
from eth_account import Account
from eth_account.messages import encode_defunct
from home_fixture import wait_for

from chains.devnet import cow_orders
from chains.devnet.addresses import CHAINS
from chains.devnet.funding import give_eth, give_token
from chains.devnet.jsonrpc import Rpc
from chains.devnet.service import Status
from chains.intents.cow import order_json
from chains.profiles import load
from chains.types import Address, CowOrder
from contracts.codec import encode
from contracts.hashing import keccak
from keys import cow_order
from keys.curve import SigningKey

pytestmark = pytest.mark.devnet
WETH, USDC = Address(CHAINS[1].weth), Address(CHAINS[1].usdc)
SETTLEMENT = Address(cow_orders.SETTLEMENT)
KEY, OTHER = SigningKey(keccak(b"cow trader")), SigningKey(keccak(b"somebody else"))
ME = Address(KEY.address)


class World:
    def __init__(self, url: str, cheat_url: str, rpc: Rpc) -> None:
        self.url, self.cheat_url, self.rpc = url, cheat_url, rpc

    def now(self) -> int:
        return int(self.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)

    def order(self, **fields: Any) -> CowOrder:
        made = CowOrder(
            1, SETTLEMENT, ME, ME, WETH, USDC, 10**18, 2_900 * 10**6, self.now() + 600, cow_order.APP_DATA_HASH
        )  # fmt: skip
        return dataclasses.replace(made, **fields)

    def body(self, order: CowOrder, key: SigningKey = KEY, scheme: str = "eip712", **fields: Any) -> Any:
        signature = key.sign(cow_order.digest(order))
        if scheme == "ethsign":
            told = encode_defunct(cow_order.digest(order))
            signature = bytes(Account.sign_message(told, keccak(b"cow trader")).signature)
        return order_json(order, scheme, signature, "{}") | fields

    def post(self, body: Any) -> tuple[int, Any]:
        return ask(f"{self.url}/api/v1/orders", body)

    def approve(self, raw: int) -> None:
        self.rpc("anvil_impersonateAccount", ME)
        data = encode("erc20", "approve", (load(1).contracts["cow_vault_relayer"], raw))
        self.rpc.transact({"from": ME, "to": WETH, "data": "0x" + data.hex(), "gas": hex(100_000)})

    def status(self, uid: str) -> str:
        return str(ask(f"{self.url}/api/v1/orders/{uid}")[1]["status"])


@pytest.fixture
def world(devnet: Status) -> Iterator[World]:
    cheat = devnet.cheat_urls[1]
    give_eth(cheat, ME, 10**19)
    give_token(cheat, WETH, ME, 5 * 10**18)
    with cow_book(cheat) as url, Rpc(cheat) as rpc:
        found = World(url, cheat, rpc)
        faults(url, hold=True)
        found.approve(5 * 10**18)
        yield found


def test_an_accounts_orders_are_kept_settled_and_told_of(world: World) -> None:
    uids = []
    for scheme, partially in (("eip712", False), ("ethsign", True)):
        order = world.order(partially_fillable=partially, valid_to=world.now() + 600)
        assert world.post(world.body(order, scheme=scheme)) == (201, cow_order.uid(order))
        uids.append(cow_order.uid(order))
        again, told = world.post(world.body(order, scheme=scheme))
        assert again == 400 and told["errorType"] == "DuplicatedOrder"
    assert [world.status(uid) for uid in uids] == ["open", "open"]
    faults(world.url, **{**SOUND, "share_bps": 6_000})
    wait_for(lambda: all(world.status(uid) == "fulfilled" for uid in uids))
    bought = world.order(kind="buy", sell_raw=10**18, buy_raw=1_500 * 10**6, partially_fillable=True)
    assert world.post(world.body(bought)) == (201, cow_order.uid(bought))
    wait_for(lambda: world.status(cow_order.uid(bought)) == "fulfilled")
    _, told = ask(f"{world.url}/api/v1/orders/{cow_order.uid(bought)}")
    assert told["kind"] == "buy" and told["executedBuyAmount"] == str(1_500 * 10**6), "exactly"
    assert 0 < int(told["executedSellAmount"]) < 10**18
    for uid, parts in zip(uids, (1, 2), strict=True):
        _, trades = ask(f"{world.url}/api/v1/trades?orderUid={uid}")
        _, told = ask(f"{world.url}/api/v1/orders/{uid}")
        assert len(trades) == parts and sum(int(t["sellAmount"]) for t in trades) == 10**18
        assert told["executedSellAmount"] == str(10**18) and told["owner"] == ME.lower()
        assert int(told["executedBuyAmount"]) == sum(int(t["buyAmount"]) for t in trades) >= 2_900 * 10**6
        assert ask(f"{world.url}/api/v1/orders/{uid}/status")[1] == {"type": "traded"}


def test_every_refusal_has_its_documented_name(world: World) -> None:
    order, now = world.order(), world.now()
    refused: dict[str, Any] = {
        "ZeroAmount": world.body(world.order(buy_raw=0)),
        "SameBuyAndSellToken": world.body(world.order(buy_token=WETH)),
        "InsufficientValidTo": world.body(world.order(valid_to=now + 5)),
        "ExcessiveValidTo": world.body(world.order(valid_to=now + 10**6)),
        "AppDataHashMismatch": world.body(order, appData='{"version":"0.9.0"}'),
        "UnsupportedOrderType": world.body(order, kind="swap"),
        "UnsupportedSellTokenSource": world.body(order, sellTokenBalance="internal"),
        "UnsupportedBuyTokenDestination": world.body(order, buyTokenBalance="internal"),
        "WrongOwner": world.body(order, OTHER),
        "InvalidSignature": world.body(order, signature="0x" + "00" * 65),
        "InsufficientBalance": world.body(world.order(sell_raw=6 * 10**18)),
        "QuoteNotFound": world.body(order, quoteId=999),
        "NonZeroFee": world.body(world.order(fee_raw=5)),
        "MissingFrom": {**world.body(order), "signingScheme": "eip1271", "from": None},
        "InvalidEip1271Signature": {**world.body(order), "signingScheme": "eip1271"},
    }
    for kind, body in refused.items():
        status, told = world.post(body)
        assert (status, told["errorType"]) == (400, kind), told
    world.approve(10**18 - 1)
    status, told = world.post(world.body(order))
    assert (status, told["errorType"]) == (400, "InsufficientAllowance")
    assert world.post({"kind": "sell"})[0] == 422
    assert ask(f"{world.url}/api/v1/orders/{cow_order.uid(order)}")[0] == 404, "nothing of all that was kept"


def test_an_altered_field_is_another_order_and_another_signer(world: World) -> None:
    order = world.order()
    for field, value in (("buyAmount", "1"), ("receiver", OTHER.address), ("validTo", order.valid_to + 1)):
        status, told = world.post(world.body(order, **{field: value}))
        assert (status, told["errorType"]) == (400, "WrongOwner")


def cancel(world: World, uids: list[str], key: SigningKey = KEY) -> tuple[int, Any]:
    signed = key.sign(cow_order.cancellation(1, SETTLEMENT, uids).digest)
    body = {"orderUids": uids, "signature": "0x" + signed.hex(), "signingScheme": "eip712"}
    return ask(f"{world.url}/api/v1/orders", body, "DELETE")


def test_an_account_takes_its_order_back_from_the_book_but_not_from_the_chain(world: World) -> None:
    order = world.order()
    uid = cow_order.uid(order)
    assert world.post(world.body(order))[0] == 201
    assert cancel(world, [uid], OTHER)[1]["errorType"] == "WrongOwner"
    assert cancel(world, ["0x" + "11" * 56])[0] == 404
    assert cancel(world, [uid])[0] == 200 and world.status(uid) == "cancelled"
    assert cancel(world, [uid])[1]["errorType"] == "AlreadyCancelled"
    faults(world.url, hold=False)
    assert ask(f"{world.url}/admin/solve", {})[0] == 200
    filled = encode("gpv2_settlement", "filledAmount", (bytes.fromhex(uid[2:]),))
    answer = world.rpc("eth_call", {"to": SETTLEMENT, "data": "0x" + filled.hex()}, "latest")
    assert int(answer, 16) == 0, "this solver honours it; the contract does not know of it"


def test_invalidated_on_chain_it_is_over_for_every_solver(world: World) -> None:
    order = world.order()
    uid = cow_order.uid(order)
    assert world.post(world.body(order))[0] == 201
    data = encode("gpv2_settlement", "invalidateOrder", (bytes.fromhex(uid[2:]),))
    world.rpc.transact({"from": ME, "to": SETTLEMENT, "data": "0x" + data.hex(), "gas": hex(100_000)})
    assert world.status(uid) == "cancelled"
    assert cancel(world, [uid])[1]["errorType"] == "AlreadyCancelled"


def test_a_quote_names_everything_an_order_needs(world: World) -> None:
    asked = {
        "sellToken": WETH, "buyToken": USDC, "receiver": ME, "from": ME, "kind": "sell", "sellAmountBeforeFee": str(10**18),
        "validFor": 300, "appData": "{}", "appDataHash": cow_order.APP_DATA_HASH, "partiallyFillable": False,
        "signingScheme": "eip712",
    }  # fmt: skip
    status, told = ask(f"{world.url}/api/v1/quote", asked)
    quote = told["quote"]
    assert status == 200 and told["verified"] and type(told["id"]) is int
    assert (
        int(quote["sellAmount"]) + int(quote["feeAmount"]) == 10**18
        and int(quote["buyAmount"]) > 2_900 * 10**6
    )
    assert world.post(world.body(world.order(), quoteId=told["id"]))[0] == 201
    purchase = {**asked, "kind": "buy", "buyAmountAfterFee": str(1_500 * 10**6)}
    del purchase["sellAmountBeforeFee"]
    status, told = ask(f"{world.url}/api/v1/quote", purchase)
    assert (
        status == 200 and told["quote"]["buyAmount"] == str(1_500 * 10**6) and told["quote"]["kind"] == "buy"
    )
    assert 0 < int(told["quote"]["sellAmount"]) + int(told["quote"]["feeAmount"]) < 10**18
    assert (
        ask(f"{world.url}/api/v1/quote", {**asked, "kind": "buy"})[1]["errorType"] == "UnsupportedOrderType"
    )
    for kind, fields in (
        ("SameBuyAndSellToken", {"buyToken": WETH}),
        ("NoLiquidity", {"buyToken": OTHER.address}),
        ("SellAmountDoesNotCoverFee", {"sellAmountBeforeFee": "0"}),
    ):
        assert ask(f"{world.url}/api/v1/quote", {**asked, **fields})[1]["errorType"] == kind
