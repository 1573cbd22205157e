"""Every field of a certified route, changed a little, is found by the check; and the untouched route passes."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from markets import USDC, WETH, random_market, three_places

from agent.domain.errors import Usage
from agent.market.book import sell_base
from agent.market.file import parse_market
from agent.routing.certificate.check import check
from agent.routing.certificate.seal import seal_of
from agent.routing.certify import certified
from agent.routing.greedy import best_plan
from agent.routing.problem import pose
from agent.routing.report import route_json, route_of

VIEW = parse_market(three_places())


def certified_route(view: Any = VIEW, eth: int = 33, cross: bool = True) -> dict[str, Any]:
    problem = pose(view, WETH, USDC, eth * 10**18, cross_domain=cross)
    route = certified(problem, route_of(problem, best_plan(problem)))
    plain: dict[str, Any] = json.loads(json.dumps(route_json(route)))
    return plain


ROUTE = certified_route()


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every field that is neither an object nor a list."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(value, list):
        for k, inner in enumerate(value):
            yield from leaves(inner, (*path, k))
    else:
        yield path


def nudged(value: Any) -> Any:
    """The value, changed as little as its kind allows."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if value.isdigit():
        return str(int(value) + 1)
    try:
        return repr(float(value) * 1.0001)
    except ValueError:
        return value[:-1] + ("0" if value[-1] != "0" else "1")


def changed(route: dict[str, Any], path: tuple[Any, ...], reseal: bool = False) -> dict[str, Any]:
    other = copy.deepcopy(route)
    at = other
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = nudged(at[path[-1]])
    if reseal:
        other["certificate"]["seal"] = seal_of(other)
    return other


JUDGED = [path for path in leaves(ROUTE) if path[0] != "took_ms"]


def test_the_untouched_route_is_valid() -> None:
    found = check(ROUTE, VIEW)
    assert (found.valid, found.why) == (True, ())
    assert str(found.bound_raw) == ROUTE["certificate"]["bound_raw"]


@pytest.mark.parametrize("path", JUDGED, ids=lambda path: ".".join(map(str, path)))
def test_any_field_that_was_changed_is_found(path: tuple[Any, ...]) -> None:
    found = check(changed(ROUTE, path), VIEW)
    assert not found.valid and found.why


FIGURES = [path for path in JUDGED if path[0] not in ("certificate", "places") or path[1] in ("bound_raw", "gap_bps", "universe", "market_digest")]  # fmt: skip


@pytest.mark.parametrize("path", FIGURES, ids=lambda path: ".".join(map(str, path)))
def test_a_forger_who_seals_it_again_is_still_found(path: tuple[Any, ...]) -> None:
    assert not check(changed(ROUTE, path, reseal=True), VIEW).valid


def test_a_leg_taken_out_or_put_in_is_found() -> None:
    for k in range(len(ROUTE["legs"])):
        other = copy.deepcopy(ROUTE)
        del other["legs"][k]
        other["certificate"]["seal"] = seal_of(other)
        assert not check(other, VIEW).valid
    other = copy.deepcopy(ROUTE)
    other["legs"].append(dict(other["legs"][0]))
    other["certificate"]["seal"] = seal_of(other)
    assert not check(other, VIEW).valid


def test_prices_that_are_missing_strange_or_no_numbers_are_refused() -> None:
    prices = ROUTE["certificate"]["prices"]
    for asset in prices:
        for text in ("0", "-1", "NaN", "Infinity", "1e999999999", "one", ""):
            other = copy.deepcopy(ROUTE)
            other["certificate"]["prices"][asset] = text
            other["certificate"]["seal"] = seal_of(other)
            assert not check(other, VIEW).valid
        other = copy.deepcopy(ROUTE)
        del other["certificate"]["prices"][asset]
        other["certificate"]["seal"] = seal_of(other)
        assert not check(other, VIEW).valid


def test_the_best_levels_of_a_book_are_not_sold_to_twice() -> None:
    """Two legs of half the size would both be filled at the best price: more than the book holds there."""
    leg, book = ROUTE["legs"][0], VIEW.books[0]
    assert leg["id"] == book.id
    half = sell_base(book, int(leg["in_raw"]) // 2, 18, 6)
    assert half is not None
    other = copy.deepcopy(ROUTE)
    other["legs"][:1] = [{**leg, "in_raw": str(half.in_raw), "out_raw": str(half.out_raw)}] * 2
    more, less = 2 * half.out_raw - int(leg["out_raw"]), int(leg["in_raw"]) - 2 * half.in_raw
    assert more > 0
    other["in_raw"] = str(int(other["in_raw"]) - less)
    for figure in ("out_raw", "net_out_raw"):
        other[figure] = str(int(other[figure]) + more)
    other["certificate"]["seal"] = seal_of(other)
    found = check(other, VIEW)
    assert not found.valid and f"legs[1]: {leg['in']} was sold to {book.id} before" in found.why


def test_a_price_of_a_million_digits_is_refused_unread() -> None:
    for text in ("1." + "3" * 10**6, "1" * 10**6, "0." + "0" * 10**6 + "1"):
        other = copy.deepcopy(ROUTE)
        for asset in other["certificate"]["prices"]:
            other["certificate"]["prices"][asset] = text
        other["certificate"]["seal"] = seal_of(other)
        found = check(other, VIEW)
        assert not found.valid and all(len(line) < 1000 for line in found.why)


def test_another_market_refuses_the_certificate() -> None:
    pools = dict(VIEW.pools)
    name, pool = next(iter(pools.items()))
    reserves = pool.reserves  # type: ignore[union-attr]
    for other in (
        replace(VIEW, pools={**pools, name: replace(pool, reserves=(reserves[0] + 1, reserves[1]))}),  # type: ignore[type-var]
        replace(VIEW, pools={key: value for key, value in pools.items() if key != name}),
        replace(VIEW, books=()),
        random_market(1),
    ):
        found = check(ROUTE, other)
        assert not found.valid and any(line.startswith("market_digest") for line in found.why)


@pytest.mark.parametrize(
    "document", [None, 3, [], {}, {"sell": WETH}, {**ROUTE, "certificate": None}, {**ROUTE, "legs": {}}]
)
def test_what_is_no_certified_route_is_told_so(document: Any) -> None:
    with pytest.raises(Usage) as caught:
        check(document, VIEW)
    assert caught.value.code == "BAD_ROUTE"


ODD: list[Any] = [None, True, -1, 1.5, "", "-", "--5", "²", "-5", [], {}, [[]], [{}], "1" * 5000]


def nodes(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value below the whole."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield (*path, key)
        yield from nodes(one, (*path, key))


def test_whatever_stands_in_a_field_the_answer_is_a_verdict_or_a_message() -> None:
    """A stranger's file may hold anything: `--5` is no number though its digits are, and a list is no name."""
    for path in [path for path in nodes(ROUTE) if path[0] not in ("took_ms", "places")]:
        for odd in ODD:
            other = copy.deepcopy(ROUTE)
            at = other
            for key in path[:-1]:
                at = at[key]
            if at[path[-1]] == odd:
                continue
            at[path[-1]] = odd
            try:
                assert not check(other, VIEW).valid, (path, odd)
            except Usage as told:
                assert told.code == "BAD_ROUTE"


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ((), "guaranteed_out_raw"),
        (("costs",), "costs.guaranteed_out_raw"),
        (("legs", 1), "legs[1].guaranteed_out_raw"),
        (("certificate",), "certificate.guaranteed_out_raw"),
    ],
)
def test_what_is_no_part_of_a_route_is_named_and_not_vouched_for(path: tuple[Any, ...], named: str) -> None:
    other = copy.deepcopy(ROUTE)
    at: Any = other
    for key in path:
        at = at[key]
    at["guaranteed_out_raw"] = "1"
    other["certificate"]["seal"] = seal_of(other)
    found = check(other, VIEW)
    assert found.why == (f"{named}: no part of a route, so nothing of it was judged",) and not found.valid
