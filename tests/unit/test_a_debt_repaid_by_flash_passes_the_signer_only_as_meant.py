"""FlashRepay's calls: exact both ways, judged to the leaf, refused where the owners did not list them or where one thing is amiss."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import custody as c
import pytest

from chains.errors import Usage
from chains.types import Address, Call, Environment
from contracts import flash_repay as fl
from contracts import multisend
from contracts.abi_types import AbiError
from contracts.codec import encode
from contracts.decode import to_leaves
from contracts.leaves import FlashRepayment, Unknown
from keys.policy import Allowed, Refusal, SafeTxRequest, judge_safe_tx
from keys.safe import DELEGATECALL, SafeTx
from keys.sentences import sentence

FLASH = Address(fl.ADDRESS)
A_WETH = "0x4d5F47FA6A74757f35C14fD3a6Ef8E3C9BC514E8"
FACTORY = "0x1F98431c8aD98523631AE4a59f267346ea31F984"
MOST = 5 * 10**18
GOOD = fl.Repayment(
    c.AAVE, A_WETH, 9_000 * 10**6, MOST, 115 * 10**16, c.DEADLINE, FACTORY, (c.USDC, c.WETH), (500,)
)
LISTED: dict[str, Any] = {
    "contracts": c.chain_json()["contracts"] | {FLASH: "flash_repay"},
    "spenders": [*c.chain_json()["spenders"], FLASH],
    "tokens": c.chain_json()["tokens"] | {A_WETH: {"per_tx_raw": str(MOST), "per_day_raw": str(3 * MOST)}},
}


def approved(raw: int, token: str = A_WETH) -> Call:
    return Call(Address(token), encode("erc20", "approve", (FLASH, raw)))


def batch(r: fl.Repayment = GOOD, *, before: int | None = None, after: bool = True) -> list[Call]:
    data = encode("flash_repay", "repay", (asdict(r),))
    calls = [approved(r.mostCollateral if before is None else before), Call(FLASH, data)]
    return [*calls, approved(0)] if after else calls


def asked(calls: list[Call], **settings: Any) -> Allowed | Refusal:
    packed = multisend.calldata(multisend.Part(x.to, x.value, x.data) for x in calls)
    tx = SafeTx(Address(c.MULTISEND), 0, packed, DELEGATECALL, 0)
    request = SafeTxRequest(Environment.DEVNET, 1, Address(c.SAFE), tx, c.NOW, c.NOW)
    return judge_safe_tx(request, c.settings(**(LISTED | settings)), c.EmptyLedger())


def test_it_is_allowed_where_the_owners_listed_it() -> None:
    verdict = asked(batch())
    assert isinstance(verdict, Allowed), verdict
    assert dict(verdict.spend) == {A_WETH: MOST} and verdict.deadline == c.DEADLINE
    assert fl.repay(GOOD) == batch()[1].data


@pytest.mark.parametrize(
    ("rule", "calls"),
    [
        ("lending-pool", batch(replace(GOOD, pool=c.THIEF))),
        ("lending-pool", batch(replace(GOOD, pool=c.VAULT))),
        ("token", batch(replace(GOOD, tokens=(c.THIEF, c.WETH)))),
        ("token", batch(replace(GOOD, tokens=(c.USDC, c.THIEF, c.WETH), fees=(100, 500)))),
        ("token", batch(replace(GOOD, aToken=c.THIEF))),
        ("allowance-missing", batch(replace(GOOD, aToken=c.WETH))),
        ("least-health", batch(replace(GOOD, leastHealth=10**18 - 1))),
        ("deadline", batch(replace(GOOD, deadline=c.NOW - 1))),
        ("deadline-too-far", batch(replace(GOOD, deadline=c.NOW + 10_000))),
        ("approval-size", batch(replace(GOOD, mostCollateral=MOST + 1))),
        ("amount", batch(replace(GOOD, mostCollateral=0), before=MOST)),
        ("allowance-missing", batch(before=MOST - 1)),
        ("allowance-missing", [batch()[1]]),
        ("allowance-left", batch(after=False)),
        ("unknown-call", batch(replace(GOOD, repays=0))),
        ("unknown-call", batch(replace(GOOD, fees=(500, 500)))),
        ("unknown-call", batch(replace(GOOD, tokens=(c.USDC, c.USDC)))),
        ("unknown-call", [Call(FLASH, encode("flash_repay", "uniswapV3SwapCallback", (1, -1, b"")))]),
        ("unknown-call", [approved(MOST), Call(FLASH, batch()[1].data, 1), approved(0)]),
        ("unknown-call", [approved(MOST), Call(FLASH, batch()[1].data + bytes(32)), approved(0)]),
        ("allowance-missing", [*batch(), batch()[1]]),
    ],
)
def test_one_thing_amiss_and_it_is_refused(rule: str, calls: list[Call]) -> None:
    verdict = asked(calls)
    assert isinstance(verdict, Refusal) and verdict.rule == rule, verdict


def test_the_worst_way_that_passes_counts_whole_against_the_cap() -> None:
    """Pools at a thief's price, one unit repaid, health left at its least: what may be lost so is what the owners let leave, no more."""
    worst = replace(GOOD, factory=c.THIEF, repays=1, leastHealth=10**18)
    verdict = asked(batch(worst))
    assert isinstance(verdict, Allowed) and dict(verdict.spend) == {A_WETH: MOST}
    over = asked([*batch(worst), *batch(replace(worst, mostCollateral=1))])
    assert isinstance(over, Refusal) and over.rule == "cap-per-tx", over


@pytest.mark.parametrize(
    ("rule", "left_out"),
    [("spender", "contracts"), ("spender", "spenders"), ("unknown-call", "tokens")],
)
def test_it_is_refused_where_a_part_of_it_is_not_listed(rule: str, left_out: str) -> None:
    more = {"spenders": c.chain_json()["spenders"]} if left_out == "contracts" else {}
    verdict = asked(batch(), **{left_out: c.chain_json()[left_out]}, **more)
    assert isinstance(verdict, Refusal) and verdict.rule == rule, verdict


def test_a_signer_that_calls_another_contract_so_does_not_start() -> None:
    with pytest.raises(Usage, match="is not FlashRepay"):
        c.settings(contracts=LISTED["contracts"] | {c.THIEF: "flash_repay"})


def test_an_owner_reads_what_it_may_take_and_what_it_must_leave() -> None:
    (leaf,) = to_leaves(batch()[1], {FLASH: "flash_repay"})
    assert isinstance(leaf, FlashRepayment) and leaf.tokens == (c.USDC, c.WETH)
    told = sentence(leaf, c.SAFE, {c.USDC: ("USDC", 6), A_WETH: ("aEthWETH", 18), c.WETH: ("WETH", 18)})
    assert "repays 9000 USDC" in told and "at most 5 aEthWETH" in told and "USDC for WETH" in told
    assert "at least 1.15 then" in told and c.AAVE in told


def test_what_the_contract_would_refuse_by_its_shape_is_not_encoded() -> None:
    for odd in ({"repays": 0}, {"repays": 1 << 127}, {"fees": ()}, {"tokens": (c.USDC, c.USDC)}):
        with pytest.raises(AbiError):
            fl.repay(replace(GOOD, **odd))
    (leaf,) = to_leaves(Call(FLASH, encode("flash_repay", "repay", (asdict(replace(GOOD, fees=())),))), {FLASH: "flash_repay"})  # fmt: skip
    assert isinstance(leaf, Unknown)
