"""The client's requests field by field as CoW Protocol's API documents them, its documented answers and errors, and what is none of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from recorded_book import Recorded, recorded_book

from chains.errors import FairleadError, Reconcile, Reject, Retry
from chains.intents.cow import CowBook, QuoteRequest, order_json
from chains.rpc import SecretUrl
from chains.types import Address, CowOrder, Hash32

OWNER = Address("0x6810e776880C02933D47DB1b9fc05908e5386b96")
WETH, USDC = (
    Address("0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2"),
    Address("0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"),
)
EMPTY = Hash32("0xb48d38f93eaa084033fc5970bf96e559c33c4cdc07d889ab00b4d63f9590739d")
ORDER = CowOrder(
    1, Address("0x9008D19f58AAbD9eD0D60971565AA8510560ab41"), OWNER, OWNER, WETH, USDC, 10**18, 2_950_000_000, 1_800_000_300, EMPTY
)  # fmt: skip
UID = "0x" + "ab" * 32 + OWNER[2:].lower() + "6b49d32c"
QUOTED: dict[str, Any] = {
    "quote": {
        "sellToken": WETH.lower(), "buyToken": USDC.lower(), "receiver": OWNER.lower(), "sellAmount": "999800000000000000",
        "buyAmount": "2997646960", "validTo": 1_800_000_300, "appData": "{}", "appDataHash": EMPTY, "feeAmount": "200000000000000",
        "gasAmount": "150000", "gasPrice": "15000000000", "sellTokenPrice": "0.0004", "kind": "sell", "partiallyFillable": False,
        "sellTokenBalance": "erc20", "buyTokenBalance": "erc20", "signingScheme": "eip1271",
    },
    "from": OWNER.lower(), "expiration": "1985-03-10T18:35:18.814523Z", "id": 575, "verified": True,
}  # fmt: skip
KEPT: dict[str, Any] = {
    **order_json(ORDER, "eip1271", b"\1" * 130, "{}"), "creationDate": "2020-12-03T18:35:18.814523Z", "class": "limit",
    "owner": OWNER.lower(), "uid": UID, "availableBalance": None, "executedSellAmount": "400000000000000000",
    "executedSellAmountBeforeFees": "400000000000000000", "executedBuyAmount": "1198000000", "executedFeeAmount": "0",
    "invalidated": False, "status": "open", "isLiquidityOrder": False, "executedFee": "0", "executedFeeToken": WETH.lower(),
    "settlementContract": ORDER.settlement.lower(), "interactions": {"pre": [], "post": []},
}  # fmt: skip
POST_ERRORS = """QuoteNotFound QuoteNotVerified InvalidQuote MissingFrom WrongOwner InvalidEip1271Signature InsufficientBalance
InsufficientAllowance InvalidSignature SellAmountOverflow TransferSimulationFailed ZeroAmount IncompatibleSigningScheme
TooManyLimitOrders TooMuchGas UnsupportedBuyTokenDestination UnsupportedSellTokenSource UnsupportedOrderType InsufficientValidTo
ExcessiveValidTo InvalidNativeSellToken SameBuyAndSellToken UnsupportedToken InvalidAppData AppDataHashMismatch AppDataMismatch
AppdataFromMismatch MetadataSerializationFailed OldOrderActivelyBidOn""".split()
CODES = {
    "InsufficientAllowance": "COW_INSUFFICIENT_ALLOWANCE",
    "InvalidEip1271Signature": "COW_INVALID_EIP1271_SIGNATURE",
    "WrongOwner": "COW_WRONG_OWNER",
    "OldOrderActivelyBidOn": "COW_OLD_ORDER_ACTIVELY_BID_ON",
}


@pytest.fixture
async def server() -> AsyncIterator[Recorded]:
    async with recorded_book() as found:
        yield found


@pytest.fixture
async def book(server: Recorded) -> AsyncIterator[CowBook]:
    async with aiohttp.ClientSession() as session:
        yield CowBook(SecretUrl(server.url), session)


async def post(book: CowBook, quote_id: int | None = 575) -> None:
    await book.post(ORDER, UID, "eip1271", b"\1" * 130, "{}", quote_id)


async def test_a_quote_is_asked_for_and_read_as_documented(server: Recorded, book: CowBook) -> None:
    server.answers = [(200, QUOTED)]
    quote = await book.quote(QuoteRequest(ORDER, "eip1271", 300, "{}"))
    assert (quote.sell_raw, quote.fee_raw, quote.buy_raw) == (999800000000000000, 200000000000000, 2997646960)
    assert quote.quote_id == 575 and quote.fields["receiver"] == OWNER.lower()
    assert server.sent == [
        (
            "POST",
            "/mainnet/api/v1/quote",
            {
                "sellToken": WETH, "buyToken": USDC, "receiver": OWNER, "from": OWNER, "kind": "sell",
                "sellAmountBeforeFee": "1000000000000000000", "validFor": 300, "appData": "{}", "appDataHash": EMPTY,
                "partiallyFillable": False, "sellTokenBalance": "erc20", "buyTokenBalance": "erc20",
                "priceQuality": "optimal", "signingScheme": "eip1271", "onchainOrder": False,
            },
        )
    ]  # fmt: skip


async def test_a_purchase_is_quoted_and_posted_by_what_comes(server: Recorded, book: CowBook) -> None:
    bought = replace(
        ORDER, kind="buy", sell_token=USDC, buy_token=WETH, sell_raw=3_015_000_000, buy_raw=10**18
    )
    told = {
        **QUOTED["quote"], "sellToken": USDC.lower(), "buyToken": WETH.lower(), "sellAmount": "3001200000",
        "feeAmount": "600240", "buyAmount": "1000000000000000000", "kind": "buy",
    }  # fmt: skip
    server.answers = [(200, QUOTED | {"quote": told}), (201, UID)]
    quote = await book.quote(QuoteRequest(bought, "presign", 300, "{}"))
    assert (quote.cost_raw, quote.buy_raw) == (3_001_800_240, 10**18)
    await book.post(bought, UID, "presign", b"", "{}", quote.quote_id)
    (_, _, asked), (_, _, posted) = server.sent
    assert asked["kind"] == "buy" and asked["buyAmountAfterFee"] == "1000000000000000000"
    assert "sellAmountBeforeFee" not in asked, "one of the two is given"
    assert posted["kind"] == "buy"
    assert (posted["sellAmount"], posted["buyAmount"]) == ("3015000000", "1000000000000000000")


async def test_an_order_is_posted_as_documented(server: Recorded, book: CowBook) -> None:
    server.answers = [(201, UID)]
    await post(book)
    assert server.sent == [
        (
            "POST",
            "/mainnet/api/v1/orders",
            {
                "sellToken": WETH, "buyToken": USDC, "receiver": OWNER, "sellAmount": "1000000000000000000",
                "buyAmount": "2950000000", "validTo": 1_800_000_300, "appData": "{}", "appDataHash": EMPTY, "feeAmount": "0",
                "kind": "sell", "partiallyFillable": False, "sellTokenBalance": "erc20", "buyTokenBalance": "erc20",
                "signingScheme": "eip1271", "signature": "0x" + "01" * 130, "from": OWNER, "quoteId": 575,
            },
        )
    ]  # fmt: skip


async def test_an_order_that_is_there_already_is_there(server: Recorded, book: CowBook) -> None:
    server.answers = [(400, {"errorType": "DuplicatedOrder", "description": "order already exists"})]
    await post(book)


@pytest.mark.parametrize("kind", ["QuoteNotFound", "InvalidQuote"])
async def test_a_quote_too_old_by_now_is_left_out(server: Recorded, book: CowBook, kind: str) -> None:
    server.answers = [(400, {"errorType": kind, "description": "x"}), (201, UID)]
    await post(book)
    first, second = (body for _, _, body in server.sent)
    assert first.pop("quoteId") == 575 and first == second, "the same order under the same UID"


@pytest.mark.parametrize("kind", POST_ERRORS)
async def test_every_documented_refusal_is_their_no_under_its_own_name(
    server: Recorded, book: CowBook, kind: str
) -> None:
    server.answers = [(400, {"errorType": kind, "description": "why not"})]
    with pytest.raises(Reject, match=f"{kind}.*why not") as refused:
        await post(book, quote_id=None)
    assert refused.value.code.startswith("COW_") and refused.value.code == refused.value.code.upper()
    assert CODES.get(kind, refused.value.code) == refused.value.code


LOST: dict[str, Any] = {
    "the connection cut after it was read": "lost",
    "500, which may have kept it": (500, {"errorType": "InternalServerError", "description": ""}),
    "503": (503, None),
    "201 and no JSON": b"<html>",
    "201 and another order's UID": (201, "0x" + "cd" * 56),
    "201 and something else": (201, {"uid": UID}),
}


@pytest.mark.parametrize("name", LOST)
async def test_a_post_whose_answer_is_lost_may_have_arrived(
    server: Recorded, book: CowBook, name: str
) -> None:
    server.answers = [LOST[name]]
    with pytest.raises(Reconcile):
        await post(book)
    assert len(server.sent) == 1, "nothing is sent twice by itself"


@pytest.mark.parametrize(
    "answer,kind",
    [
        ((429, None), Retry), ((403, None), Reject), ((404, {"errorType": "NoLiquidity", "description": "x"}), Reject),
        ((302, None), Reject), ((422, "bad"), Reject), ((400, {"errorType": "<b>", "description": 1}), Reject),
        ((400, ["?"]), Reject),
    ],
)  # fmt: skip
async def test_what_was_certainly_not_kept_is_said_so(
    server: Recorded, book: CowBook, answer: Any, kind: type[FairleadError]
) -> None:
    server.answers = [answer]
    with pytest.raises(kind):
        await post(book)
    assert len(server.sent) == 1, "no redirect is followed"


async def test_nobody_there_is_no_post() -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(Retry, match="COW_UNREACHABLE"):
            await post(CowBook(SecretUrl("http://127.0.0.1:9/"), session))


async def test_an_order_is_looked_up_by_its_uid(server: Recorded, book: CowBook) -> None:
    server.answers = [(200, KEPT), (404, {"errorType": "NotFound", "description": "x"})]
    told = await book.order(UID)
    assert told is not None
    assert (told.status, told.sold_raw, told.bought_raw) == ("open", 4 * 10**17, 1_198_000_000)
    assert await book.order(UID) is None
    assert server.sent[0] == ("GET", f"/mainnet/api/v1/orders/{UID}", None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": "wonderful"}, {"uid": "0x" + "cd" * 56}, {"executedSellAmount": 5}, {"executedBuyAmount": "-1"},
        {"executedBuyAmount": "1e9"}, {"status": None},
    ],
)  # fmt: skip
async def test_an_order_that_does_not_read_teaches_nothing(
    server: Recorded, book: CowBook, wrong: dict[str, Any]
) -> None:
    server.answers = [(200, KEPT | wrong), (200, [])]
    for _ in range(2):
        with pytest.raises(Retry, match="COW_BAD_ANSWER"):
            await book.order(UID)


@pytest.mark.parametrize("wrong", [{"sellAmount": 5}, {"feeAmount": "x"}, {"buyAmount": None}])
async def test_a_quote_that_does_not_read_is_none(
    server: Recorded, book: CowBook, wrong: dict[str, Any]
) -> None:
    server.answers = [(200, {**QUOTED, "quote": QUOTED["quote"] | wrong}), (200, {"quote": 5}), (200, None)]
    for _ in range(3):
        with pytest.raises(Retry, match="COW_BAD_ANSWER"):
            await book.quote(QuoteRequest(ORDER, "eip1271", 300, "{}"))


async def test_a_cancellation_is_signed_over_the_uids(server: Recorded, book: CowBook) -> None:
    server.answers = [(200, "Cancelled"), (401, {"errorType": "WrongOwner", "description": "x"})]
    await book.cancel([UID], b"\2" * 65)
    expected = {"orderUids": [UID], "signature": "0x" + "02" * 65, "signingScheme": "eip712"}
    assert server.sent == [("DELETE", "/mainnet/api/v1/orders", expected)]
    with pytest.raises(Reject, match="COW_WRONG_OWNER|WrongOwner"):
        await book.cancel([UID], b"\2" * 65)


async def test_no_error_shows_a_url_that_may_hold_a_key(server: Recorded) -> None:
    async with aiohttp.ClientSession() as session:
        book = CowBook(SecretUrl(server.url + "/secret-key"), session)
        for answer in ("lost", (429, None), (500, None), (403, None), b"x"):
            server.answers = [answer]
            with pytest.raises(FairleadError) as refused:
                await post(book)
            assert "secret-key" not in str(refused.value)
