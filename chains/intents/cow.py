"""A client of CoW Protocol's documented order book API. Nothing it answers is believed: the settlement contract's logs decide.

    POST   /api/v1/quote            what a sale would give, or a purchase cost, now
    POST   /api/v1/orders           a signed order: 201 and its UID
    GET    /api/v1/orders/{uid}     the order with its status; 404
    DELETE /api/v1/orders           ordinary accounts take orders back, best effort

Errors: Retry where nothing was kept (a read unanswered, 429, no connection), Reconcile where a write may have arrived (a time-out,
5xx), Reject COW_… with the book's own errorType. An order is known by a UID computed here before it is sent, and the book keeps a
UID once: DuplicatedOrder means that it is there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from chains.bounded_json import loads
from chains.errors import FairleadError, Reconcile, Reject, Retry
from chains.rpc import SecretUrl
from chains.types import CowOrder

TIMEOUT_S = 10.0
_MAX_BYTES = 1 << 20
STATUSES = frozenset({"presignaturePending", "open", "fulfilled", "cancelled", "expired"})


@dataclass(frozen=True, slots=True)
class QuoteRequest:
    """A sale of `sell_raw`, or a purchase of `buy_raw`, all costs inside, for a Safe; `scheme` and `valid_s` as the order will have them."""

    order: CowOrder
    scheme: str
    valid_s: int
    app_data: str


@dataclass(frozen=True, slots=True)
class Quote:
    """What the book says: `sell_raw` beside `fee_raw` for the network goes, `buy_raw` comes. `fields` as it answered."""

    sell_raw: int
    fee_raw: int
    buy_raw: int
    quote_id: int | None
    fields: Mapping[str, Any]

    @property
    def cost_raw(self) -> int:
        """What goes, the network's share with it."""
        return self.sell_raw + self.fee_raw


@dataclass(frozen=True, slots=True)
class Told:
    """What the book says of an order: a hint, and no more."""

    status: str
    sold_raw: int
    bought_raw: int


class CowBook:
    """`url` is one chain's order book, up to and without /api."""

    def __init__(self, url: SecretUrl, session: aiohttp.ClientSession) -> None:
        self._url, self._session = url, session

    @property
    def name(self) -> str:
        return "cow"

    @property
    def origin(self) -> str:
        return self._url.origin

    async def quote(self, request: QuoteRequest) -> Quote:
        """Raises Reject COW_NO_LIQUIDITY and the like, Retry COW_BAD_ANSWER where a field is missing or none of its type."""
        order = request.order
        fixed = (
            {"buyAmountAfterFee": str(order.buy_raw)}
            if order.buys
            else {"sellAmountBeforeFee": str(order.sell_raw)}
        )
        body = {
            "sellToken": order.sell_token,
            "buyToken": order.buy_token,
            "receiver": order.receiver,
            "from": order.owner,
            "kind": order.kind,
            **fixed,
            "validFor": request.valid_s,
            "appData": request.app_data,
            "appDataHash": order.app_data,
            "partiallyFillable": order.partially_fillable,
            "sellTokenBalance": "erc20",
            "buyTokenBalance": "erc20",
            "priceQuality": "optimal",
            "signingScheme": request.scheme,
            "onchainOrder": False,
        }
        answer = await self._ask("POST", "/api/v1/quote", body, write=False)
        try:
            fields, name = answer["quote"], answer.get("id")
            return Quote(
                _raw(fields["sellAmount"]),
                _raw(fields["feeAmount"]),
                _raw(fields["buyAmount"]),
                name if type(name) is int else None,
                dict(fields),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise self._bad(f"a quote without a sound {error}") from None

    async def post(
        self, order: CowOrder, uid: str, scheme: str, signature: bytes, app_data: str, quote_id: int | None
    ) -> None:
        """Raises Reconcile COW_OTHER_UID where the book names the order otherwise than `uid`: then it took another one.

        A quote that has grown too old while the allowance was mined is left out, and the same order posted once more.
        """
        body = order_json(order, scheme, signature, app_data)
        if quote_id is not None:
            body["quoteId"] = quote_id
        try:
            answer = await self._ask("POST", "/api/v1/orders", body, write=True)
        except Reject as no:
            if no.code == "COW_DUPLICATED_ORDER":
                return
            if quote_id is not None and no.code in ("COW_QUOTE_NOT_FOUND", "COW_INVALID_QUOTE"):
                return await self.post(order, uid, scheme, signature, app_data, None)
            raise
        if not isinstance(answer, str) or answer.lower() != uid:
            raise Reconcile(
                "COW_OTHER_UID",
                f"{self.origin} keeps the order under another UID than {uid[:18]}…",
                "it is followed on chain under our own",
            )

    async def order(self, uid: str) -> Told | None:
        """None where the book says that it has no such order. Raises Retry."""
        answer = await self._ask("GET", f"/api/v1/orders/{uid}", None, write=False, absent=True)
        if answer is None:
            return None
        try:
            status = answer["status"]
            if status not in STATUSES or str(answer["uid"]).lower() != uid:
                raise ValueError(f"status {str(status)[:30]!r}")
            return Told(status, _raw(answer["executedSellAmount"]), _raw(answer["executedBuyAmount"]))
        except (KeyError, TypeError, ValueError) as error:
            raise self._bad(f"an order without a sound {error}") from None

    async def cancel(self, uids: Sequence[str], signature: bytes) -> None:
        """Asks that orders of an ordinary account be given to solvers no more; who has one may settle it all the same.

        The API takes ECDSA signatures alone: an order of a Safe is ended on chain (invalidateOrder).
        """
        body = {
            "orderUids": list(uids),
            "signature": "0x" + signature.hex(),
            "signingScheme": "eip712",
        }
        await self._ask("DELETE", "/api/v1/orders", body, write=True)

    async def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None, *, write: bool, absent: bool = False
    ) -> Any:
        url = self._url.reveal().rstrip("/") + path
        lost = Reconcile if write else Retry
        try:
            async with self._session.request(
                method, url, json=body, timeout=aiohttp.ClientTimeout(total=TIMEOUT_S), allow_redirects=False
            ) as response:
                content, status = await response.content.read(_MAX_BYTES), response.status
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            raise Retry(
                "COW_UNREACHABLE", f"{self.origin} does not answer", "is the order book's url right?"
            ) from None
        except (aiohttp.ClientError, TimeoutError, OSError) as wrong:
            raise self._silent(lost, type(wrong).__name__) from None
        if status == 429:
            raise Retry("COW_BUSY", f"{self.origin} takes no more for now (429)", "try again in a while")
        if status >= 500:
            raise self._silent(lost, f"status {status}")
        try:
            answer = loads(content) if content else None
        except ValueError:
            answer = None
            if status < 300:
                raise self._silent(lost, "an answer that is not JSON") from None
        if status < 300:
            return answer
        if status == 404 and absent:
            return None
        raise refusal(self.origin, status, answer)

    def _silent(self, kind: type[FairleadError], what: str) -> FairleadError:
        return kind("COW_SILENT", f"{self.origin} gave no answer ({what})", "it is asked by the order's UID")

    def _bad(self, what: str) -> Retry:
        return Retry("COW_BAD_ANSWER", f"{self.origin} answered {what}", "is it a CoW order book?")


def order_json(order: CowOrder, scheme: str, signature: bytes, app_data: str) -> dict[str, Any]:
    """The body of POST /api/v1/orders."""
    return {
        "sellToken": order.sell_token,
        "buyToken": order.buy_token,
        "receiver": order.receiver,
        "sellAmount": str(order.sell_raw),
        "buyAmount": str(order.buy_raw),
        "validTo": order.valid_to,
        "appData": app_data,
        "appDataHash": order.app_data,
        "feeAmount": str(order.fee_raw),
        "kind": order.kind,
        "partiallyFillable": order.partially_fillable,
        "sellTokenBalance": "erc20",
        "buyTokenBalance": "erc20",
        "signingScheme": scheme,
        "signature": "0x" + signature.hex(),
        "from": order.owner,
    }


def refusal(origin: str, status: int, answer: Any) -> Reject:
    """Their no: {"errorType": "InsufficientAllowance", "description": …} as Reject COW_INSUFFICIENT_ALLOWANCE."""
    kind = answer.get("errorType") if isinstance(answer, dict) else None
    why = str(answer.get("description", "")) if isinstance(answer, dict) else ""
    if not isinstance(kind, str) or not re.fullmatch(r"[A-Za-z0-9]{1,60}", kind):
        return Reject("COW_REFUSED", f"{origin} answered {status}", "nothing was kept there")
    code = "COW_" + re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", kind).upper()
    shown = json.dumps(why[:200], ensure_ascii=True)
    return Reject(code, f"{origin} answered {status} {kind}: {shown}", "nothing was kept there")


def _raw(value: Any) -> int:
    """A TokenAmount: a decimal string. Raises ValueError."""
    if not isinstance(value, str) or not value.isascii() or not value.isdigit() or len(value) > 78:
        raise ValueError(f"amount {str(value)[:30]!r}")
    return int(value)
