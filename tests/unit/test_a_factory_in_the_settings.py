"""[[chains.factories]]: whose pools are looked for and what they take; what each mistake is told as."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from settings_values import values

from agent.app.live_pools import routers_of, v2_fees
from agent.app.settings import Settings, parse
from agent.app.signer_file import content
from agent.app.template import render
from chains.errors import Usage
from chains.pool_factories import PoolFactory
from chains.profiles import load
from chains.types import Address
from contracts.flash_repay import ADDRESS as FLASH
from contracts.route_executor import ADDRESS as EXECUTOR

PARTS = {
    **{
        name: load(1).contracts[name]
        for name in ("permit2", "universal_router", "safe_multi_send_call_only", "uniswap_v2_factory")
    },
    **{"wallet": values()["wallet"]["address"], "route_executor": EXECUTOR, "flash_repay": FLASH},
    "token_": next(
        a.rpartition(":")[2]
        for ids in values()["assets"].values()
        for a in ids
        if a.startswith("eip155:1/erc20:")
    ),
}
HERE = Path("/etc/fairlead.toml")
SUSHI, AERODROME = "0xC0AEe478e3658e2610c5F7A4A2E1777cE9e4f2Ac", "0x420DD381b31aEf6683db6B902084cB0FFECe40Da"
OWN, V3 = (load(1).contracts[f"uniswap_v{n}_factory"] for n in (2, 3))


def read(*factories: dict[str, Any]) -> Settings:
    given = values()
    given["chains"][0] |= {"factories": list(factories)}
    return parse(render(given, HERE), HERE).settings


def v2(**more: Any) -> dict[str, Any]:
    return {"kind": "uniswap_v2", "address": SUSHI, "fee_pips": 2_500} | more


def test_a_fork_says_its_fee_and_a_solidly_factory_tells_it_itself() -> None:
    chain = read(v2(), {"kind": "solidly", "address": AERODROME}).chains[0]
    assert [(f.kind, f.fee_pips) for f in chain.factories] == [("uniswap_v2", 2_500), ("solidly", None)]
    assert read(v2(address=OWN, fee_pips=3_000)).chains[0].factories[0].fee_pips == 3_000
    listed = [PoolFactory(f.kind, Address(f.address), f.fee_pips or 0) for f in chain.factories]
    assert v2_fees(load(1).contracts, listed) == {OWN: 3_000, SUSHI: 2_500}
    assert v2_fees({}, []) == {}
    assert read({"kind": "uniswap_v3", "address": V3}).chains[0].factories[0].fee_pips is None


@pytest.mark.parametrize(
    "factories,told",
    [
        ([v2(fee_pips=None)], "chains[0].factories[0].fee_pips: is missing"),
        ([{"kind": "solidly", "address": AERODROME, "fee_pips": 30}], "chains[0].factories[0].fee_pips: is given"),
        ([{"kind": "uniswap_v3", "address": AERODROME, "fee_pips": 500}], "chains[0].factories[0].fee_pips: is given"),
        ([{"kind": "uniswap_v3", "address": AERODROME, "router": SUSHI}], "chains[0].factories[0].router: no router of this kind"),
        ([v2(), v2(fee_pips=3_000)], f"chains[0].factories: {SUSHI} stands there 2 times"),
        ([v2(address=OWN)], "chains[0].factories[0].fee_pips: is not what the pairs of Uniswap's own"),
        ([v2(fee_pips=300_001)], "chains[0].factories[0].fee_pips"),
        ([v2(fee_pips="2500")], "chains[0].factories[0].fee_pips"),
        ([{"kind": "solidly", "address": AERODROME, "router": SUSHI}], "chains[0].factories[0].router: no router of this kind"),
        ([v2(router=SUSHI)], "chains[0].factories[0].router: is the factory itself"),
        ([v2(router="0x" + "0" * 40)], "chains[0].factories[0].router"),
        *(([v2(router=at)], f"chains[0].factories[0].router: is known here as {name}") for name, at in PARTS.items()),
        ([{"kind": "uniswap_v3", "address": V3, "fee_pips": 500}], "chains[0].factories[0].fee_pips: is given, and a uniswap_v3 factory"),
        ([{"kind": "uniswap_v3", "address": SUSHI}], "chains[0].factories[0].address: is not Uniswap's own V3 factory"),
        ([{"kind": "uniswap_v3", "address": V3, "router": SUSHI}], "chains[0].factories[0].router: no router of this kind"),
        ([v2(kind="curve")], "chains[0].factories[0].kind"),
        ([v2(address="0x12")], "chains[0].factories[0].address"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_by_its_place(factories: list[dict[str, Any]], told: str) -> None:
    given = [{key: value for key, value in factory.items() if value is not None} for factory in factories]
    with pytest.raises(Usage) as refused:
        read(*given)
    assert told in str(refused.value)


def test_a_forks_router_is_in_the_file_that_the_signer_reads() -> None:
    router = "0xd9e1cE17f2641f24aE83637ab66a2cca9C378B9F"
    settings = read(v2(router=router))
    assert routers_of(settings.chains[0]) == {SUSHI: router} and not routers_of(settings.chains[1])
    told = content(settings, {1: {"WETH": (1, 2)}})["chains"][0]
    assert told["contracts"][router] == "uniswap_v2_router" and router in told["spenders"]
