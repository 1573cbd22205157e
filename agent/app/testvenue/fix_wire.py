"""FIX messages of the paper exchange: requests to the parameters its engine takes, executions to reports. Pure."""

from __future__ import annotations

from agent.app.testvenue.engine import Execution
from agent.app.testvenue.spec import ZERO, VenueError, fmt
from agent.transport.fix.dictionary import Record
from agent.transport.fix.message import stamp

Pairs = list[tuple[int, str]]
TYPES = {"1": "MARKET", "2": "LIMIT"}
SIDES = {"1": "BUY", "2": "SELL"}
TIMES = {"1": "GTC", "3": "IOC", "4": "FOK"}
MODES = {"1": "NONE", "2": "EXPIRE_TAKER", "3": "EXPIRE_MAKER", "4": "EXPIRE_BOTH"}
STATUS = {"PENDING_NEW": "A", "NEW": "0", "PARTIALLY_FILLED": "1", "FILLED": "2", "CANCELED": "4", "REJECTED": "8", "EXPIRED": "C", "EXPIRED_IN_MATCH": "C"}  # fmt: skip
EXECUTIONS = {"NEW": "0", "CANCELED": "4", "REPLACED": "5", "REJECTED": "8", "TRADE": "F", "EXPIRED": "C", "TRADE_PREVENTION": "C"}  # fmt: skip
_TYPE_NUMBER = {"MARKET": "1", "LIMIT": "2", "LIMIT_MAKER": "2", "STOP_LOSS": "3", "TAKE_PROFIT": "3", "STOP_LOSS_LIMIT": "4", "TAKE_PROFIT_LIMIT": "4"}  # fmt: skip
_NUMBER_OF_SIDE = {name: number for number, name in SIDES.items()}
_NUMBER_OF_TIME = {name: number for number, name in TIMES.items()}
_PLAIN = {38: "quantity", 44: "price", 111: "icebergQty", 152: "quoteOrderQty"}


def parameters(record: Record) -> dict[str, str]:
    """A NewOrderSingle as POST /api/v3/order would have it. Raises VenueError for a type that is not taken here."""
    if record[40] not in TYPES:
        raise VenueError(-1116, "Invalid orderType.")
    kind = "LIMIT_MAKER" if record.get(18) == "6" else TYPES[record[40]]
    found = {"symbol": record[55], "side": SIDES[record[54]], "type": kind, "newClientOrderId": record[11]}
    found |= {name: record[tag] for tag, name in _PLAIN.items() if tag in record.values}
    if 59 in record.values:
        found["timeInForce"] = TIMES[record[59]]
    if 25001 in record.values:
        found["selfTradePreventionMode"] = MODES.get(record[25001], record[25001])
    return found


def report(execution: Execution, exec_id: int, cancel_id: str) -> Pairs:
    """ExecutionReport<8>; `cancel_id`: the name of the request that cancelled it, where one did."""
    order, fill = execution.order, execution.fill
    at = stamp(order.update_ms * 1_000_000) + "000"
    names = [(11, cancel_id), (41, order.cl_ord_id)] if cancel_id else [(11, order.cl_ord_id)]
    fields: Pairs = [(17, str(exec_id)), *names, (37, str(order.order_id)), (38, fmt(order.qty))]
    fields += [(40, _TYPE_NUMBER[order.type]), (54, _NUMBER_OF_SIDE[order.side]), (55, order.symbol)]
    if order.px:
        fields += [(44, fmt(order.px)), (59, _NUMBER_OF_TIME[order.tif])]
    fields += [(60, at), (25018, stamp(order.time_ms * 1_000_000) + "000")]
    fields += [(150, EXECUTIONS[execution.exec_type]), (14, fmt(order.executed))]
    fields += [(151, fmt(order.remaining if order.is_open else ZERO)), (25017, fmt(order.cum_quote))]
    if fill is not None:
        fields += [(1057, "N" if fill.is_maker else "Y"), (1003, str(fill.trade_id)), (31, fmt(fill.px))]
    fields += [(32, fmt(fill.qty if fill else ZERO)), (39, STATUS[order.status])]
    fields.append((636, "Y" if order.resting else "N"))
    if fill is not None:
        fields += [(136, "1"), (137, fmt(fill.commission)), (138, fill.commission_asset), (139, "4")]
    return fields


def rejected(record: Record, why: VenueError, now_ms: int) -> Pairs:
    """ExecutionReport<8> of an order that was not taken: it has no order number."""
    fields: Pairs = [(11, record[11]), (40, record[40]), (54, record[54]), (55, record[55])]
    fields += [
        (60, stamp(now_ms * 1_000_000) + "000"),
        (150, "8"),
        (14, "0.00000000"),
        (32, "0.00000000"),
        (39, "8"),
    ]
    return [*fields, (103, "99"), (25016, str(why.code)), (58, why.msg)]


def cancel_refused(record: Record, why: VenueError) -> Pairs:
    """OrderCancelReject<9>."""
    fields: Pairs = [(11, record[11])]
    fields += [(tag, record[tag]) for tag in (41, 37) if tag in record.values]
    return [*fields, (55, record[55]), (434, "1"), (25016, str(why.code)), (58, why.msg)]
