"""What Curve's and Solidly's contracts answer, judged: plain pools are taken, whose views leave something out are refused by name."""

from __future__ import annotations

import pytest

from chains import pool_curve, pool_solidly
from chains.errors import Reject
from chains.evm import keccak, word
from chains.pool_events import moved
from chains.types import Address, Hash32, Log

POOL = Address("0x" + "11" * 20)
COINS = [word("0x" + f"{k:02x}" * 20) for k in range(2, 5)]


def answers(coins: int, rest: dict[str, bytes]) -> list[bytes | None]:
    named = [call.data[:4] for call in pool_curve.asked(POOL)[pool_curve.MOST_COINS :]]
    by_selector = {keccak(name.encode())[:4]: answer for name, answer in rest.items()}
    listed: list[bytes | None] = [*COINS[:coins], *[None] * (pool_curve.MOST_COINS - coins)]
    return [*listed, *(by_selector.get(name) for name in named)]


@pytest.mark.parametrize(
    ("view", "says"),
    [
        ("gamma()", "CryptoSwap"),
        ("base_pool()", "metapool"),
        ("offpeg_fee_multiplier()", "away from its peg"),
        ("underlying_coins(uint256)", "lending tokens"),
    ],
)
def test_another_curve_is_refused_by_name(view: str, says: str) -> None:
    with pytest.raises(Reject, match=says):
        pool_curve.told(POOL, answers(3, {view: word(1)}))


def test_what_has_no_two_coins_is_no_pool() -> None:
    for coins in (0, 1):
        with pytest.raises(Reject, match="does not answer as a curve_stableswap pool"):
            pool_curve.told(POOL, answers(coins, {}))
    # A contract with a fallback answers everything with nothing.
    with pytest.raises(Reject, match="does not answer"):
        pool_curve.told(POOL, [b""] * len(pool_curve.asked(POOL)))


def test_precision_ramp_and_rates_are_read_where_the_pool_tells_them() -> None:
    tokens, plain = pool_curve.told(POOL, answers(3, {}))
    assert len(tokens) == 3 and len(pool_curve.state_calls(POOL, plain, 3)) == 6
    assert pool_curve.changes_unheard(plain, 0), (
        "an amplification whose end nobody tells may move at any block"
    )
    later = {"A_precise()": word(1), "future_A_time()": word(1), "stored_rates()": word(1)}
    _, values = pool_curve.told(POOL, answers(2, later))
    assert len(pool_curve.state_calls(POOL, values, 2)) == 7
    rates = word(2 * 10**18) + word(3 * 10**30)
    given = [word(5), word(6), word(20_050), word(4_000_000), word(5 * 10**9), word(900), rates]
    assert pool_curve.state(values, (18, 6), given) == {
        "balances_raw": ["5", "6"],
        "a": "200.5",
        "a_precision": "100",
        "fee_1e10": "4000000",
        "admin_fee_1e10": "5000000000",
        "rates_1e18": [str(2 * 10**18), str(3 * 10**18)],
    }
    assert pool_curve.changes_unheard(values, 10**10), "rates of others' making"
    values["rated"] = False
    assert pool_curve.changes_unheard(values, 899) and not pool_curve.changes_unheard(values, 900)
    pool_curve.state(values, (18, 6), [*given[:5], word(800)])
    assert pool_curve.changes_unheard(values, 899), "an older block that is read beside ends no ramp"


def test_a_solidly_pools_kind_and_fee_are_what_its_contracts_say() -> None:
    given: list[bytes | None] = [COINS[0], COINS[1], word(1), COINS[2]]
    _, values = pool_solidly.told(POOL, "solidly_stable", given)
    with pytest.raises(Reject, match="is a solidly_stable pool, and is listed as solidly_volatile"):
        pool_solidly.told(POOL, "solidly_volatile", given)
    newer, older = pool_solidly.fee_views(POOL, values)
    assert pool_solidly.fee_view(POOL, values, [word(30), None]) == newer
    assert pool_solidly.fee_view(POOL, values, [None, word(5)]) == older
    for silent in ([None, None], [b"", word(10_000)]):
        with pytest.raises(Reject, match="tells no fee"):
            pool_solidly.fee_view(POOL, values, silent)


def test_events_that_change_nothing_of_a_curve_pool_are_passed_over_and_others_have_it_read() -> None:
    entry = {"kind": "curve_stableswap", "balances_raw": ["1", "2"]}

    def log(signature: str) -> Log:
        zero = Hash32("0x" + "00" * 32)
        return Log(POOL, (keccak(signature.encode()),), word(1) * 8, 1, zero, zero, 0)

    for harmless in ("CommitNewFee(uint256,uint256,uint256)", "Transfer(address,address,uint256)"):
        assert moved(entry, log(harmless)) is entry
    for telling in (
        "TokenExchange(address,int128,uint256,int128,uint256)",
        "AddLiquidity(address,uint256[3],uint256[3],uint256,uint256)",
        "RemoveLiquidity(address,uint256[3],uint256[3],uint256)",
        "RemoveLiquidityOne(address,uint256,uint256)",
        "RemoveLiquidityImbalance(address,uint256[3],uint256[3],uint256,uint256)",
        "NewFee(uint256,uint256)",
        "RampA(uint256,uint256,uint256,uint256)",
        "StopRampA(uint256,uint256)",
    ):
        assert moved(entry, log(telling)) is None
