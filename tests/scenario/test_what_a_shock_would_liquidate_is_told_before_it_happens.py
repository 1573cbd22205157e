"""`health FILE` and `stress FILE` over accounts of every model, with no network and no settings; what is wrong is a named state."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from browser import browser
from margin_book import PERP, USDC, WETH, aave, every_model, reserve

from agent.app.cli import run
from agent.margin.model import models

Ask = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Ask:
    def asked(document: Any, *words: str) -> tuple[int, str, str]:
        path = tmp_path / "accounts.json"
        path.write_text(json.dumps(document))
        status = run([words[0], str(path), *words[1:]])
        told = capsys.readouterr()
        return status, told.out, told.err

    return asked


def test_every_model_answers_in_the_agreed_form(ask: Ask) -> None:
    status, out, _ = ask(every_model(), "health", "--json")
    accounts = {a["id"]: a for a in json.loads(out)["accounts"]}
    assert status == 0 and len(accounts) == len(every_model()["accounts"])
    wanted = {
        "id", "model", "state", "health_1e18", "collateral_value_raw", "debt_value_raw", "value_unit", "liquidation_px",
        "distance_pct", "seconds_to_liquidation", "cheapest_rescue",
    }  # fmt: skip
    for one in accounts.values():
        assert wanted <= set(one) and one["state"] in ("SAFE", "AT_RISK"), one
        assert one["health_1e18"].isdigit() and all(
            set(p) == {"asset", "side", "px"} for p in one["liquidation_px"]
        )
    # Each price by hand: 20,000/8.25, 21,000/8.25, 19,000.0019/8.5, 21,000/8.6, 12,000·1.5/10.
    below = {
        name: float(accounts[name]["liquidation_px"][0]["px"])
        for name in ("spark", "aave", "comet", "morpho", "vault")
    }
    assert below == pytest.approx({"spark": 2424.2424, "aave": 2545.4545, "comet": 2235.2943, "morpho": 2441.8605, "vault": 1800.0}, rel=1e-6)  # fmt: skip
    assert accounts["usdm"]["liquidation_px"][0]["side"] == "above" and "maintenance_raw" in accounts["usdm"]
    assert {a["model"] for a in accounts.values()} <= set(models())
    status, out, _ = ask(every_model(), "health")
    assert status == 0 and "margin ratio" in out and "maintenance" in out
    # What is no dollar is told in whole coins.
    assert "of what is borrowed" in out and "base units" not in out
    # What dYdX's five coins were bought with: 11,000 owed.
    assert accounts["dydx"]["bankruptcy_px"][0]["px"] == "2200" and "bankrupt" in out and "initial " in out


def test_a_matrix_of_what_a_shock_would_liquidate(ask: Ask) -> None:
    status, out, _ = ask(every_model(), "stress", "--shock", "ETH=-20%,USDC=-2%", "--vol", "+30%", "--json")
    told = json.loads(out)
    assert status == 0 and told["shock_pct"] == {"ETH": "-20", "USDC": "-2"} and told["vol_pct"] == "+30"
    states = {a["id"]: dict(zip(told["parts_pct"], a["states"], strict=True)) for a in told["accounts"]}
    # 2,400 a coin: Aave's loans (with their dollars two per cent down: 2,375.76 and 2,494.55), of them the second only.
    assert states["spark"][100] == "AT_RISK" and states["aave"][100] == "LIQUIDATABLE"
    assert "aave" in told["would_be_liquidated"] and "usdm" not in told["would_be_liquidated"]
    assert told["falls"] == sorted(told["falls"], key=lambda f: float(f["at_pct"]))
    assert told["unmoved"] == ["DAI"]
    # The cushion of a staked coin that loses its peg besides is gone sooner, and of nobody else.
    _, out, _ = ask(
        every_model(), "stress", "--shock", "ETH=-20%,USDC=-2%,wstETH=-10%", "--vol", "+30%", "--json"
    )
    depeg = {a["id"]: a["falls_at_pct"] for a in json.loads(out)["accounts"]}
    before = {a["id"]: a["falls_at_pct"] for a in told["accounts"]}
    assert {name for name in before if depeg[name] != before[name]} == {"morpho"}
    assert float(depeg["morpho"]) < float(before["morpho"])


def test_volatility_alone_can_liquidate_options(ask: Ask) -> None:
    _, out, _ = ask(every_model(), "stress", "--shock", "ETH=0%", "--vol", "+300%", "--json")
    told = json.loads(out)
    assert told["would_be_liquidated"] == ["options"] and told["falls"][0] == {
        "id": "options",
        "at_pct": "0",
        "drags": [],
    }


class _Tags(HTMLParser):
    """Open tags, and whether anything is fetched or run."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.foreign: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag in ("script", "link", "img", "iframe") or any(
            k in ("src", "href") or k.startswith("on") for k, _ in attrs
        ):
            self.foreign.append(tag)
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_surface_is_drawn_on_a_page_that_needs_nothing_else(ask: Ask, tmp_path: Path) -> None:
    document = every_model()
    document["accounts"][0]["id"] = '<script>alert("x")</script>'
    page = tmp_path / "surface.html"
    status, _, err = ask(document, "stress", "--shock", "ETH=-20%,USDC=-2%", "--html", str(page))
    text = page.read_text()
    parsed = _Tags()
    parsed.feed(text)
    assert status == 0 and "is drawn in" in err and parsed.open == [] and parsed.foreign == []
    # 29 by 29 places, a frame around now; what a file calls itself is text.
    assert parsed.seen.count("rect") == 29 * 29 + 1 and "&lt;script&gt;" in text
    assert 'fill="#e59a8f"' in text and "ETH -20 %, USDC -2 %" in text
    assert ask(document, "stress", "--shock", "ETH=-20%", "--html", str(tmp_path))[0] == 2


IN_VIEW = """(() => { const boxes = [...document.querySelectorAll('svg rect')].map(r => r.getBoundingClientRect());
  return {
    drawn: boxes.filter(b => b.width > 4 && b.height > 4 && b.left >= 0 && b.right <= innerWidth).length,
    colours: new Set([...document.querySelectorAll('svg rect')].map(r => getComputedStyle(r).fill)).size,
    words: [...document.querySelectorAll('svg text')].filter(t => t.getBoundingClientRect().width > 0).length,
    title: document.title, text: document.body.innerText, scripts: document.scripts.length,
    wide: document.documentElement.scrollWidth > innerWidth,
    key: [...document.querySelectorAll('.key span')].map(s => s.innerText + ' ' + getComputedStyle(s).backgroundColor),
  } })()"""


@pytest.mark.parametrize("width", [1280, 390])
async def test_a_real_browser_draws_the_surface(ask: Ask, tmp_path: Path, width: int) -> None:
    document = every_model()
    document["accounts"][0]["id"] = '<script>alert("x")</script>'
    page = tmp_path / "surface.html"
    assert (
        await asyncio.to_thread(ask, document, "stress", "--shock", "ETH=-20%,USDC=-2%", "--html", str(page))
    )[0] == 0
    async with browser() as shown:
        await shown.open(page.as_uri(), width)
        seen = await shown.value(IN_VIEW)
        picture = await shown.picture()
    # All 29 by 29 places and the frame around now, in the colours of what stands there; nothing runs off the page.
    assert seen["drawn"] == 29 * 29 + 1 and seen["colours"] >= 3 and seen["words"] > 10 and not seen["wide"]
    assert seen["key"] == [
        "SAFE rgb(215, 236, 217)",
        "AT_RISK rgb(246, 227, 168)",
        "LIQUIDATABLE rgb(229, 154, 143)",
        "UNKNOWN rgb(201, 201, 209)",
    ]
    # What a file calls itself is text; nothing runs, nothing is asked for but the page.
    assert '<script>alert("x")</script>' in seen["text"] and seen["scripts"] == 0
    assert shown.told == [] and shown.asked == [page.as_uri()]
    assert picture.startswith(b"\x89PNG") and len(picture) > 20_000
    (tmp_path / "surface.png").write_bytes(picture)


def test_what_is_not_known_is_unknown_and_stays_so_under_every_shock(ask: Ask) -> None:
    document = every_model()
    document["accounts"].append({"id": "v4", "model": "aave_v4", "chain": "eip155:1"})
    status, out, _ = ask(document, "stress", "--shock", "ETH=-1%", "--json")
    told = json.loads(out)
    assert status == 0 and told["unknown"] == ["v4"]
    assert {s for a in told["accounts"] if a["id"] == "v4" for s in a["states"]} == {"UNKNOWN"}
    _, out, _ = ask(document, "stress", "--shock", "ETH=-1%")
    assert "UNKNOWN    v4: there is no margin model 'aave_v4'" in out and "UNKNOWN is not safe" in out


def test_an_account_that_could_not_be_judged_is_named_beside_the_answer(ask: Ask) -> None:
    """Looking is done, and exits 0 as for one that is LIQUIDATABLE; that a look told nothing is said on stderr and in a field of its own."""
    document = every_model()
    for command in (["health"], ["stress", "--shock", "ETH=-1%"]):
        status, out, err = ask(document, *command, "--json")
        assert status == 0 and json.loads(out)["unknown"] == [] and "UNKNOWN" not in err
    document["accounts"].append({"id": "v4", "model": "aave_v4", "chain": "eip155:1"})
    loud = f"UNKNOWN, which is not SAFE: 1 of {len(document['accounts'])} accounts could not be judged: v4"
    for command in (["health"], ["stress", "--shock", "ETH=-1%"]):
        status, out, err = ask(document, *command, "--json")
        assert status == 0 and json.loads(out)["unknown"] == ["v4"] and loud in err
        status, out, err = ask(document, *command)
        assert status == 0 and loud in err and "UNKNOWN" in out
        assert command[0] == "health" or "liquidated none that is known" in out


def first_reserve(**given: Any) -> dict[str, Any]:
    document = every_model()
    document["accounts"][1]["reserves"][0] |= given
    return document


@pytest.mark.parametrize(
    ("document", "account", "why"),
    [
        (first_reserve(price_1e8="0"), "aave", "price is zero"),
        (first_reserve(price_1e8=str(10**30)), "aave", "beyond any asset's"),
        (first_reserve(paused=True), "aave", "the market is paused"),
        (first_reserve(active=False), "aave", "the market is not active"),
        (first_reserve(borrow_rate_1e27="-1"), "aave", "borrow_rate_1e27 is below zero"),
        (first_reserve(liquidity_rate_1e27=str(-(10**27))), "aave", "liquidity_rate_1e27 is below zero"),
    ],
)
def test_hostile_figures_are_a_named_state(
    ask: Ask, document: dict[str, Any], account: str, why: str
) -> None:
    status, out, _ = ask(document, "health", "--json")
    accounts = {a["id"]: a for a in json.loads(out)["accounts"]}
    one = accounts.pop(account)
    assert status == 0 and one["state"] == "UNKNOWN" and why in one["why"] and one["health_1e18"] is None
    # One that cannot be told takes nobody else's figures away.
    assert all(other["state"] != "UNKNOWN" for other in accounts.values())


def test_other_models_doubt_their_figures_too(ask: Ask) -> None:
    document = every_model()
    by_name = {a["id"]: a for a in document["accounts"]}
    by_name["comet"]["borrow_rate_1e18"] = "-5"
    by_name["morpho"]["oracle_price_1e36"] = "0"
    by_name["vault"]["price_1e18"] = str(10**48)
    _, out, _ = ask(document, "health", "--json")
    unknown = {a["id"] for a in json.loads(out)["accounts"] if a["state"] == "UNKNOWN"}
    assert unknown == {"comet", "morpho", "vault"}


def test_a_hundred_positions_in_one_account(ask: Ask) -> None:
    document = every_model()
    assets = [f"eip155:1/erc20:0x{n:040x}" for n in range(100, 200)]
    document["assets"] += [{"id": a, "symbol": f"T{n}", "decimals": 18} for n, a in enumerate(assets)]
    rows = [
        reserve(
            a, (n + 1) * 10**7, scaled_supply_raw=str(10**20), scaled_debt_raw=str(10**19 if n % 2 else 0)
        )
        for n, a in enumerate(assets)
    ]
    document["accounts"] = [aave("many", "aave_v3_7", 1) | {"reserves": rows}]
    status, out, _ = ask(document, "health", "--json")
    (one,) = json.loads(out)["accounts"]
    assert status == 0 and one["state"] == "SAFE" and len(one["liquidation_px"]) == 100


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--shock", "ETH=-20"], "BAD_SHOCK"),
        (["--shock", "PEPE=-20%"], "UNKNOWN_SYMBOL"),
        (["--shock", "ETH=-20%", "--vol", "much"], "BAD_SHOCK"),
        (["--shock", "ETH=-20%", "--vol", "-100%"], "BAD_SHOCK"),
    ],
)
def test_what_is_typed_wrong_is_one_message(ask: Ask, words: list[str], code: str) -> None:
    status, out, _ = ask(every_model(), "stress", *words, "--json")
    assert status == 2 and json.loads(out)["error"]["code"] == code


def test_an_account_that_is_not_safe_is_told_its_cheapest_fix(ask: Ask) -> None:
    document = every_model()
    document["accounts"] = [aave("thin", "aave_v3_6", 24_000)]
    _, out, _ = ask(document, "health", "--json")
    (one,) = json.loads(out)["accounts"]
    assert one["state"] == "AT_RISK"
    assert one["cheapest_rescue"] == {
        "do": "repay", "asset": USDC, "raw": str(1_500 * 10**6), "health_after_1e18": str(11 * 10**17),
    }  # fmt: skip
    _, out, _ = ask(document, "health")
    assert "cheapest fix    repay 1,500 USDC" in out
    assert WETH != PERP


def in_flight(**given: Any) -> dict[str, Any]:
    document = every_model()
    base = {
        "to": "aave",
        "asset": USDC,
        "raw": str(5_000 * 10**6),
        "arrives": 1_700_000_500,
        "haircut_bps": 2_000,
    }
    return document | {"transfers": [base | given]}


def test_what_is_on_its_way_counts_apart_and_with_a_haircut(ask: Ask) -> None:
    words = ("stress", "--shock", "ETH=-20%", "--json")
    _, plain, _ = ask(every_model(), *words)
    _, out, _ = ask(in_flight(), *words)
    without, told = json.loads(plain), json.loads(out)
    # Nothing that is not there makes an account look safer.
    assert (
        told["accounts"] == without["accounts"]
        and told["would_be_liquidated"] == without["would_be_liquidated"]
    )
    (flight,) = told["falls_with_transfers"]
    # 4,000 of the 5,000 pay debt: 17,000 / 8.25 is 2,060.61, 31.31 % down, 156.57 % of the shock.
    assert flight["id"] == "aave" and float(flight["at_pct"]) == pytest.approx(156.5656, abs=1e-3)
    _, out, _ = ask(in_flight(to="perps", asset="USD", raw=str(1_000 * 10**8)), *words)
    assert [f["id"] for f in json.loads(out)["falls_with_transfers"]] == ["perps"]
    for wrong, says in (
        ({"to": "x"}, "no account x"),
        ({"haircut_bps": 10_001}, "haircut_bps"),
        ({"asset": "x"}, "not listed"),
    ):
        status, out, _ = ask(in_flight(**wrong), *words)
        assert status == 2 and says in json.loads(out)["error"]["message"]


def test_the_likeliest_way_to_be_liquidated(ask: Ask) -> None:
    words = (
        "stress",
        "--shock",
        "ETH=-20%",
        "--yearly",
        "ETH=80%,USDC=5%",
        "--days",
        "30",
        "--correlation",
        "0%",
        "--json",
    )
    _, out, _ = ask(every_model(), *words)
    found = json.loads(out)["likeliest"]
    # Aave's: ln(2,545.45 / 3,000) over 0.8·√(30/365), the dollar coin's share being small.
    assert found["aave"]["sigmas"] == pytest.approx(0.1643 / 0.22935, rel=0.01)
    assert float(found["aave"]["moves_pct"]["ETH"]) < -14 and float(found["aave"]["moves_pct"]["USDC"]) > 0
    assert found["usdm"]["moves_pct"]["ETH"].startswith("+") and set(found) >= {
        "spark",
        "comet",
        "morpho",
        "vault",
    }
    assert ask(every_model(), "stress", "--shock", "ETH=-20%", "--yearly", "ETH=-5%")[0] == 2
    _, out, _ = ask(every_model(), *words[:-1])
    assert "likeliest  aave: ETH -1" in out
