"""The same dialect in FIX: an order's words to fields, reports to the words of the user-data stream, refusals to verbs. Pure.

An execution report becomes the event that the user-data stream tells of the same execution, so that one reader and one memory of what
was told serve both: a fill is one fill by its trade id, wherever it was heard first. Source: the venue's FIX API documentation.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

from agent.domain.errors import FairleadError, Reject, Usage
from agent.market.reading import number as exact
from agent.transport.binance import VenueSays, error_of
from agent.transport.fix.dictionary import Record
from agent.transport.fix.message import Pair, stamp_ns

NEW_ORDER, CANCEL, MASS_CANCEL = "D", "F", "q"
REPORT, CANCEL_REJECT, MASS_REPORT, NEWS, SESSION_REJECT = "8", "9", "r", "B", "3"
(CL_ORD_ID, ORDER_ID, ORDER_QTY, ORD_STATUS, ORD_TYPE, ORIG_CL_ORD_ID, PRICE, SIDE, SYMBOL, TEXT, TIME_IN_FORCE, TRANSACT_TIME, EXEC_INST,
 LAST_PX, LAST_QTY, CUM_QTY, TRADE_ID, EXEC_TYPE, ERROR_CODE, RECV_WINDOW, MASS_TYPE, MASS_RESPONSE, MASS_COUNT, FEES, FEE_AMT, FEE_CURR,
 REF_SEQ_NUM) = (11, 37, 38, 39, 40, 41, 44, 54, 55, 58, 59, 60, 18, 31, 32, 14, 1003, 150, 25016, 25000, 530, 531, 533, 136, 137, 138,
                 45)  # fmt: skip
(ENCRYPT_METHOD, RAW_DATA_LENGTH, RAW_DATA, HEART_BT_INT, RESET_SEQ_NUM, USERNAME, DROP_COPY, MESSAGE_HANDLING, RESPONSE_MODE) = (
    98, 95, 96, 108, 141, 553, 9406, 25035, 25036)  # fmt: skip
SIDES = {"BUY": "1", "SELL": "2"}
TYPES = {"MARKET": "1", "LIMIT": "2", "LIMIT_MAKER": "2"}
TIMES_IN_FORCE = {"GTC": "1", "IOC": "3", "FOK": "4"}
STATUS = {"0": "NEW", "1": "PARTIALLY_FILLED", "2": "FILLED", "4": "CANCELED", "6": "PENDING_CANCEL", "8": "REJECTED", "A": "PENDING_NEW", "C": "EXPIRED"}  # fmt: skip
EXECUTIONS = {"0": "NEW", "4": "CANCELED", "5": "REPLACED", "8": "REJECTED", "F": "TRADE", "C": "EXPIRED"}
_SIDE_OF = {number: name for name, number in SIDES.items()}
_PLAIN = {"quantity": ORDER_QTY, "price": PRICE, "quoteOrderQty": 152, "icebergQty": 111}
_NOT_SENT = frozenset({"timestamp", "recvWindow", "signature", "newOrderRespType", "symbol", "side", "type", "newClientOrderId", "timeInForce"})  # fmt: skip


def words(payload: str) -> dict[str, str]:
    """An order as the signer judged it: the query's parameters, once each. Raises Usage FIX_ORDER."""
    pairs = parse_qsl(payload, keep_blank_values=True)
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Usage("FIX_ORDER", "an order's parameter stands twice", "a bug: report it")
    return found


def new_order(params: Mapping[str, str]) -> list[Pair]:
    """NewOrderSingle's fields. Raises Usage FIX_ORDER for what this transport cannot say: nothing of an order is left out."""
    strange = sorted(set(params) - _NOT_SENT - set(_PLAIN))
    if strange or params.get("type") not in TYPES or params.get("side") not in SIDES:
        what = strange[0] if strange else "type" if params.get("type") not in TYPES else "side"
        raise Usage(
            "FIX_ORDER", f"{what} {params.get(what, '')[:40]!r} is not sent by FIX", "send this order by REST"
        )
    fields = [(CL_ORD_ID, params["newClientOrderId"])]
    fields += [(tag, params[name]) for name, tag in _PLAIN.items() if name in params]
    fields += [(ORD_TYPE, TYPES[params["type"]]), (SIDE, SIDES[params["side"]]), (SYMBOL, params["symbol"])]
    if params["type"] == "LIMIT_MAKER":
        fields.append((EXEC_INST, "6"))
    elif params["type"] == "LIMIT":
        fields.append((TIME_IN_FORCE, TIMES_IN_FORCE[params["timeInForce"]]))
    return fields


def logon(api_key: str, signature: str, heartbeat_s: int, *, drop_copy: bool) -> list[Pair]:
    """What stands in a log-on besides its header. SEQUENTIAL: our messages reach the engine in the order they were sent."""
    fields = [(ENCRYPT_METHOD, "0"), (RAW_DATA_LENGTH, str(len(signature))), (RAW_DATA, signature), (HEART_BT_INT, str(heartbeat_s)),
              (RESET_SEQ_NUM, "Y"), (USERNAME, api_key), (MESSAGE_HANDLING, "2")]  # fmt: skip
    return [*fields, (DROP_COPY, "Y")] if drop_copy else [*fields, (RESPONSE_MODE, "1")]


def signed_text(sender: str, target: str, number: int, sent: str) -> str:
    """What the signer is asked for: the five fields its signature covers, named."""
    return f"MsgType=A&SenderCompID={sender}&TargetCompID={target}&MsgSeqNum={number}&SendingTime={sent}"


def event(report: Record) -> dict[str, Any]:
    """An ExecutionReport as the user-data stream's executionReport. Raises KeyError or ValueError for what is not as documented."""
    kind, status = EXECUTIONS[report[EXEC_TYPE]], STATUS[report[ORD_STATUS]]
    fee, fee_asset = _fee(report) if kind == "TRADE" else (Decimal(0), None)
    return {
        "e": "executionReport",
        "x": kind,
        "X": status,
        "c": report[CL_ORD_ID],
        "C": report.get(ORIG_CL_ORD_ID) if kind == "CANCELED" else "",
        "s": report[SYMBOL],
        "S": _SIDE_OF[report[SIDE]],
        "i": report.get(ORDER_ID, "0"),
        "q": report.get(ORDER_QTY, "0"),
        "p": report.get(PRICE, "0"),
        "z": report[CUM_QTY],
        "l": report[LAST_QTY],
        "L": report.get(LAST_PX, "0"),
        "n": f"{fee:f}",
        "N": fee_asset,
        "t": report[TRADE_ID] if kind == "TRADE" else -1,
        "T": stamp_ns(report[TRANSACT_TIME]) // 1_000_000
        if kind != "REJECTED" or TRANSACT_TIME in report.values
        else 0,
        "r": report.get(TEXT) or "NONE",
    }


def _fee(report: Record) -> tuple[Decimal, str | None]:
    """All of a trade's fees, in the one asset they are in; in two they are read over REST (ValueError)."""
    entries = report.groups.get(FEES, ())
    assets = {entry[FEE_CURR] for entry in entries}
    if len(assets) > 1:
        raise ValueError(f"fees in {len(assets)} assets")
    return sum((exact(entry[FEE_AMT]) for entry in entries), Decimal(0)), next(iter(assets), None)


def refusal(record: Record, *, write: bool) -> FairleadError:
    """The verb of a Reject, a rejected order or a refused cancel, by the venue's own code. Without one it said no to the message itself."""
    text = record.get(TEXT) or "no reason given"
    code = record.get(ERROR_CODE)
    if not code or int(code) == 0:
        return Reject(
            "FIX_REJECTED", f"the venue rejected the message: {text[:200]}", "report it with the message"
        )
    return error_of(VenueSays(int(code), text), write=write)
