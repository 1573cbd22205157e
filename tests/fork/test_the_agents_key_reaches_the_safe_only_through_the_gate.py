"""The agent's key trades for the Safe through Roles and Gate on genuine Uniswap and Aave, as its scope says and not otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest
from gate_reading import found

from agent.app.chaos.custody.world import (
    A_WETH,
    AGENT,
    DEBT_USDC,
    ETH,
    GAS,
    MULTI_SEND,
    OWNERS,
    POOL,
    POOL_005,
    ROUTER02,
    THIEF,
    UNIVERSAL,
    USDC,
    USDC_ONE,
    WETH,
    Gated,
    gated,
)
from chains.devnet.addresses import CHAINS
from chains.devnet.artifacts import artifact
from chains.devnet.demo import sqrt_price_x96
from chains.devnet.funding import create_safe, give_eth, give_token
from chains.devnet.jsonrpc import Rpc, RpcError
from chains.devnet.service import Status
from contracts import universal_router as ur
from contracts.codec import encode
from contracts.gate import runtime_hash
from contracts.hashing import keccak
from keys.safe import exec_transaction, pack_signatures, safe_tx_hash
from keys.scope import batch, safe_tx
from keys.scope_bound import bound
from keys.scope_state import changes, readings
from keys.scope_words import sentences

pytestmark = pytest.mark.devnet


@pytest.fixture
def world(devnet: Status) -> Iterator[Gated]:
    one = gated(devnet.cheat_urls)
    yield one
    one.rpc.close()


def test_the_owners_sign_one_batch_and_the_chain_is_as_the_scope_says(devnet: Status) -> None:
    world = gated(devnet.cheat_urls, granted=False)
    wanted = readings(world.scope, world.creation)
    before = changes(wanted, found(world))
    # What nobody has granted is absent, and an absent allowance is within any limit.
    assert len(before) == sum(r.kind != "at most" for r in wanted)
    receipt = world.grant()
    assert changes(wanted, found(world)) == ()
    assert int(receipt["gasUsed"], 16) < 9_000_000
    code = bytes.fromhex(world.rpc("eth_getCode", world.gate, "latest")[2:])
    assert keccak(code) == runtime_hash()
    world.safe_calls(world.gate, "gate", "freeze")
    assert [str(c) for c in changes(wanted, found(world))] == ["gate frozen: True → False"]
    world.safe_calls(WETH, "erc20", "approve", world.gate, 2**256 - 1)
    assert [c.key for c in changes(wanted, found(world))] == ["gate frozen", "allowance WETH"]
    world.rpc.close()


def test_who_creates_the_contracts_first_gains_nothing_and_stops_nothing(devnet: Status) -> None:
    world = gated(devnet.cheat_urls, granted=False)
    parts = batch(world.scope, world.creation)
    first = [parts[0], next(p for p in parts if p.data[:4] == encode_deploy())]
    world.rpc("anvil_impersonateAccount", AGENT)
    for part in first:
        data = "0x" + part.data.hex()
        tx = {"from": AGENT, "to": part.to, "data": data, "gas": hex(9_000_000)}
        assert world.rpc.transact(tx)["status"] == "0x1"
    world.rpc("anvil_stopImpersonatingAccount", AGENT)
    world.grant(standing=(world.gate, world.roles))
    assert changes(readings(world.scope, world.creation), found(world)) == ()
    world.rpc.close()


def encode_deploy() -> bytes:
    return encode("zodiac_module_factory", "deployModule", (WETH, b"", 0))[:4]


def test_what_the_owners_signed_here_is_nothing_on_another_chain(devnet: Status) -> None:
    """The same Safe at the same address with the same nonce on chain 8453, handed the batch signed for chain 1."""
    world = gated(devnet.cheat_urls, granted=False)
    owners = [o.address for o in OWNERS]
    assert create_safe(devnet.cheat_urls[8453], owners, 2) == world.safe
    tx = safe_tx(world.scope, world.creation, MULTI_SEND, 0)
    digest = safe_tx_hash(1, world.safe, tx)
    packed = pack_signatures(digest, [o.sign(digest) for o in OWNERS[:2]], owners, 2)
    call = {"from": THIEF, "to": world.safe, "data": "0x" + exec_transaction(tx, packed).hex()}
    assert world.rpc("eth_call", call, "latest") == "0x" + "0" * 63 + "1"
    with Rpc(devnet.cheat_urls[8453]) as other, pytest.raises(RpcError, match="GS026"):
        other("eth_call", call, "latest")
    world.rpc.close()


def test_prices_are_believed_again_a_while_after_an_outage(world: Gated) -> None:
    world.sequencer(down=True)
    assert "SequencerDown" in world.why(world.through(world.trade(minimumOut=1)))
    world.sequencer(down=False)
    world.later(1_801)
    world.does(world.trade())


def test_a_sale_and_a_purchase_on_genuine_uniswap(world: Gated) -> None:
    weth, usdc = world.balance(WETH), world.balance(USDC)
    floor = world.floor(WETH, USDC, 2 * ETH)
    assert 5_900 * USDC_ONE < floor < 5_960 * USDC_ONE
    receipt = world.does(world.trade(2 * ETH, data=world.single(2 * ETH)))
    got = world.balance(USDC) - usdc
    assert world.balance(WETH) == weth - 2 * ETH
    assert got >= 5_990 * USDC_ONE
    assert int(receipt["gasUsed"], 16) < 480_000
    back = world.trade(
        tokenIn=USDC,
        tokenOut=WETH,
        amountIn=got,
        minimumOut=world.floor(USDC, WETH, got),
        data=world.single(got, tokenIn=USDC, tokenOut=WETH),
    )
    world.does(back)
    assert weth - world.balance(WETH) < 2 * ETH // 300
    assert world.balance(WETH, world.gate) == world.balance(USDC, world.gate) == 0


def test_what_the_two_locks_cost(world: Gated) -> None:
    """In price nothing: the Safe gets what the pool quotes, to the unit. In gas less than 200,000 over the bare swap, an L2 outage check included."""
    world.does(world.trade())
    quote = encode("uniswap_v3_quoter_v2", "quoteExactInputSingle", ((WETH, USDC, ETH, 500, 0),))
    told = world.rpc("eth_call", {"to": CHAINS[1].uniswap.quoter_v2, "data": "0x" + quote.hex()}, "latest")
    usdc = world.balance(USDC)
    through = int(world.does(world.trade())["gasUsed"], 16)
    assert world.balance(USDC) - usdc == int(told[2:66], 16)
    world.rpc("anvil_impersonateAccount", THIEF)
    give_eth(world.url, THIEF, ETH)
    give_token(world.url, WETH, THIEF, ETH)
    give_token(world.url, USDC, THIEF, 1)
    approve = encode("erc20", "approve", (ROUTER02, ETH))
    for to, data in ((WETH, approve), (ROUTER02, world.single(recipient=THIEF))):
        tx = {"from": THIEF, "to": to, "data": "0x" + data.hex(), "gas": hex(500_000)}
        receipt = world.rpc.transact(tx)
        assert receipt["status"] == "0x1"
    bare = int(receipt["gasUsed"], 16)
    assert 0 < through - bare < 200_000
    print(f"through Roles and Gate {through} gas, the swap alone {bare}")


def test_the_universal_router_is_paid_beforehand(world: Gated) -> None:
    usdc = world.balance(USDC)
    command = ur.Command(
        "V3_SWAP_EXACT_IN",
        {
            "recipient": ur.MSG_SENDER,
            "amountIn": ETH,
            "amountOutMin": 1,
            "path": ur.v3_path([WETH, USDC], [500]),
            "payerIsUser": False,
        },
    )
    data = ur.execute([command], world.now() + 60)
    world.does(world.trade(ETH, router=UNIVERSAL, data=data))
    assert world.balance(USDC) - usdc > 2_990 * USDC_ONE


def test_lending_on_genuine_aave(world: Gated) -> None:
    weth, usdc = world.balance(WETH), world.balance(USDC)
    world.does(world.lend("supply", WETH, 20 * ETH))
    assert world.balance(WETH) == weth - 20 * ETH and abs(world.balance(A_WETH) - 20 * ETH) <= 2
    world.does(world.lend("borrow", USDC, 20_000 * USDC_ONE))
    assert world.balance(USDC) == usdc + 20_000 * USDC_ONE
    assert abs(world.health() - int(Decimal("2.49") * ETH)) < ETH // 1000
    world.does(world.lend("withdraw", WETH, 3 * ETH))
    assert abs(world.balance(WETH) - (weth - 17 * ETH)) <= 2
    world.later(86_400)
    world.does(world.lend("repay", USDC, 20_100 * USDC_ONE))
    assert world.balance(DEBT_USDC) == 0
    interest = usdc - world.balance(USDC)
    assert 0 < interest < 100 * USDC_ONE
    world.does(world.lend("withdraw", WETH, 6 * ETH))
    for token in (WETH, USDC, A_WETH):
        assert world.balance(token, world.gate) <= 2
    assert world.read(WETH, "erc20", "allowance", world.gate, POOL) == (0,)


def test_gas_money_and_its_end(world: Gated) -> None:
    before = int(world.rpc("eth_getBalance", AGENT, "latest"), 16)
    receipt = world.does(world.refuel(ETH // 20))
    spent = int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16)
    assert int(world.rpc("eth_getBalance", AGENT, "latest"), 16) == before + ETH // 20 - spent
    assert "OverGasBudget" in world.why(world.through(world.refuel(ETH // 100)))


def test_one_owner_freezes_and_the_agent_is_out(world: Gated) -> None:
    owner = world.read(world.safe, "safe", "getOwners")[0][2]
    world.rpc("anvil_impersonateAccount", owner)
    world.rpc("anvil_setBalance", owner, hex(ETH))
    freeze = "0x" + encode("gate", "freeze").hex()
    assert world.rpc.transact({"from": owner, "to": world.gate, "data": freeze})["status"] == "0x1"
    assert "IsFrozen" in world.why(world.through(world.trade()))
    assert world.sends(world.through(world.trade()), GAS)["status"] == "0x0"


def test_the_power_lapses_unless_renewed(world: Gated) -> None:
    world.later(7 * 86_400 + 1)
    assert "Lapsed" in world.why(world.through(world.trade()))
    world.safe_calls(world.gate, "gate", "renew")
    world.does(world.trade())


def test_widening_waits_and_narrowing_does_not(world: Gated) -> None:
    agent = encode("gate", "setAgent", (AGENT,))
    call = {"from": world.safe, "to": world.gate, "data": "0x" + agent.hex()}
    with pytest.raises(Exception, match="revert"):
        world.rpc("eth_call", call, "latest")
    world.safe_calls(world.gate, "gate", "queue", agent)
    owner = world.read(world.safe, "safe", "getOwners")[0][0]
    world.rpc("anvil_impersonateAccount", owner)
    world.rpc("anvil_setBalance", owner, hex(ETH))
    run = {
        "from": owner,
        "to": world.gate,
        "data": "0x" + encode("gate", "run", (agent,)).hex(),
        "gas": hex(10**6),
    }
    assert world.rpc.transact(run)["status"] == "0x0"
    world.later(86_401)
    assert world.rpc.transact(run)["status"] == "0x1"
    assert world.read(world.gate, "gate", "agent") == (AGENT,)
    world.safe_calls(world.gate, "gate", "setAgent", "0x" + "0" * 40)
    assert world.read(world.gate, "gate", "agent") == ("0x" + "0" * 40,)


def test_the_agent_is_changed_on_the_roles_modifier_alone(world: Gated) -> None:
    role = keccak(b"fairlead.agent.1")
    world.safe_calls(world.roles, "zodiac_roles", "assignRoles", AGENT, (role,), (False,))
    assert "NoMembership" in world.why(world.through(world.trade()))


def test_a_thief_who_does_his_best_takes_less_than_the_bound(world: Gated) -> None:
    """All trades go through a pool of the thief's own whose one per cent fee he pays himself, as large and as often as the
    budget lets them, with all the gas money there is; a day later the Safe has lost less than it was told."""
    told = bound(world.scope, Decimal(3_000))
    assert any(f"${told.per_day_usd:,.2f} in any 24 hours" in s for s in sentences(world.scope, told))
    own_pool(world, "3003")
    before = dollars(world)
    first, passed, gas_money = world.now(), 0, 0
    while world.now() - first < 86_400 - 3_700:
        left = int(world.read(world.gate, "gate", "budgetLeft")[0])
        amount = left // 3_000 - 10**12
        world.does(world.trade(amount, data=world.single(amount, fee=10_000)))
        passed += amount
        restore(world, "3003")
        world.rpc("anvil_setBalance", AGENT, hex(ETH // 20))
        while not world.why(world.through(world.refuel(ETH // 100))):
            world.does(world.refuel(ETH // 100))
            world.rpc("anvil_setBalance", AGENT, hex(ETH // 20))
            gas_money += 1
        world.later(3_600)
    lost = before - dollars(world)
    assert 19 * ETH < passed <= 20 * ETH
    by_trades = lost - Decimal(gas_money * 30)
    assert by_trades > 400 and gas_money >= 12, "the attack is a real one"
    assert lost < told.per_day_usd
    assert by_trades < told.share * world.scope.per_day_usd
    print(f"taken {lost:.2f} of at most {told.per_day_usd} USD a day, {by_trades:.2f} of it by trading")


def dollars(world: Gated) -> Decimal:
    return Decimal(world.balance(WETH)) / ETH * 3_000 + Decimal(world.balance(USDC)) / USDC_ONE


def own_pool(world: Gated, price: str) -> None:
    """The thief's own USDC/WETH pool with a 1 % fee, a thousand WETH deep around `price`."""
    npm, at = artifact("NonfungiblePositionManager"), CHAINS[1].uniswap.v3_npm
    url, rpc = world.url, world.rpc
    rpc("anvil_impersonateAccount", THIEF)
    give_eth(url, THIEF, 100 * ETH)
    give_token(url, WETH, THIEF, 1_000 * ETH)
    give_token(url, USDC, THIEF, 3_000_000 * USDC_ONE)
    tick = world.read(POOL_005, "uniswap_v3_pool", "slot0")[1] // 200 * 200
    amounts = (2_900_000 * USDC_ONE, 1_000 * ETH)
    span = (tick - 2_000, tick + 2_000)
    calls = [
        (USDC, encode("erc20", "approve", (at, 2**256 - 1))),
        (WETH, encode("erc20", "approve", (at, 2**256 - 1))),
        (USDC, encode("erc20", "approve", (ROUTER02, 2**256 - 1))),
        (
            at,
            npm.call("createAndInitializePoolIfNecessary", USDC, WETH, 10_000, sqrt_price_x96(price, False)),
        ),
        (at, npm.call("mint", (USDC, WETH, 10_000, *span, *amounts, 0, 0, THIEF, 2**40))),
    ]
    for to, data in calls:
        tx = {"from": THIEF, "to": to, "data": "0x" + data.hex(), "gas": hex(8_000_000)}
        assert rpc.transact(tx)["status"] == "0x1"


def restore(world: Gated, price: str) -> None:
    """The thief buys his pool's price back, and pays himself the fee."""
    spend, limit = world.balance(USDC, THIEF), sqrt_price_x96(price, False)
    data = world.single(
        spend, tokenIn=USDC, tokenOut=WETH, fee=10_000, recipient=THIEF, sqrtPriceLimitX96=limit
    )
    tx = {"from": THIEF, "to": ROUTER02, "data": "0x" + data.hex(), "gas": hex(GAS)}
    assert world.rpc.transact(tx)["status"] == "0x1"
