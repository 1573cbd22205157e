"""Our bundler's rules on validation, on the genuine EntryPoint: small accounts and paymasters, each breaking one rule, and their lawful twins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import custody as c
import pytest
from userop_support import SafeWorld, sale

from chains.devnet.addresses import ENTRY_POINT
from chains.devnet.artifacts import artifact
from chains.devnet.funding import give_eth, give_token
from chains.rpc import RpcReject
from chains.types import Address, Fees
from chains.userops import Paymaster, UserOperation, to_json
from contracts.codec import encode
from contracts.hashing import checksum, keccak

pytestmark = pytest.mark.devnet
VALID = "5f5f5260205ff3"  # returns 0: validated
SPONSORS = "60405f525f6020525f60405260605ff3"  # returns an empty context and 0
FEES = Fees(40 * 10**9, 2 * 10**9)


def place(name: str) -> Address:
    return Address(checksum(keccak(name.encode())[12:]))


ACCOUNT, OTHER, NOBODY, PAYMASTER = place("account"), place("other"), place("nobody"), place("paymaster")
READS_ZERO, WRITES_ZERO = "5f545000", "60015f5500"
READS_CALLER, READS_NEAR = (
    "33545000",
    "335f525f60205260405f20600101545000",
)  # slot caller; slot keccak(caller ‖ 0) + 1


def call(to: str, op: str = "fa", value: str = "", gas: str = "5a") -> str:
    return f"5f5f5f5f{value}73{to[2:].lower()}{gas}{op}50"


@pytest.fixture
def world(safe_world: SafeWorld) -> Iterator[SafeWorld]:
    safe_world.rpc("anvil_setBalance", ACCOUNT, hex(c.ETH))
    for who in (ACCOUNT, PAYMASTER):
        safe_world.transact(ENTRY_POINT, encode("entry_point_07", "depositTo", (who,)), value=c.ETH)
    yield safe_world


def operation(paymaster: bool = False) -> UserOperation:
    pays = Paymaster(PAYMASTER, 200_000, 0) if paymaster else None
    return UserOperation(ACCOUNT, 0, b"", 50_000, 500_000, 100_000, FEES, paymaster=pays)


async def take(world: SafeWorld, op: UserOperation) -> RpcReject | None:
    try:
        await world.endpoint.call("eth_sendUserOperation", [to_json(op), ENTRY_POINT])
    except RpcReject as error:
        return error
    return None


def put(world: SafeWorld, at: str, code: str) -> None:
    world.rpc("anvil_setCode", at, "0x" + code)


@pytest.mark.parametrize(
    ("snippet", "other", "rule"),
    [
        *(
            (op + "50", "", "OP-011")
            for op in ("42", "43", "48", "32", "41", "3a", "44", "45", "5f40", "4a", "5f49")
        ),
        ("5f5f5ff050", "", "OP-011"),
        ("5a50", "", "OP-012"),
        ("5f5f5f5ff550", "", "OP-031"),
        (call(NOBODY), "", "OP-041"),
        (f"73{NOBODY[2:].lower()}3b50", "", "OP-041"),
        (call(ENTRY_POINT, gas="610fff"), "", "OP-054"),
        (call(OTHER, "f1", "6001"), "00", "OP-061"),
        ("4750", "", "OP-080"),
        ("5f3150", "", "OP-080"),
        (call(OTHER), READS_ZERO, "STO-033"),
        (call(OTHER, "f1", "5f"), WRITES_ZERO, "STO-032"),
        (call(OTHER, "f4"), "4250", "OP-011"),
    ],
)
async def test_an_account_that_breaks_a_rule_is_named_with_it(
    world: SafeWorld, snippet: str, other: str, rule: str
) -> None:
    put(world, OTHER, other or "00")
    put(world, ACCOUNT, snippet + VALID)
    error = await take(world, operation())
    assert error is not None and error.rpc_code == -32502, error
    assert error.rpc_message.startswith(f"{rule}: the account "), error.rpc_message


@pytest.mark.parametrize(
    ("snippet", "other"),
    [
        ("", ""),
        ("5f545060015f55", ""),  # its own storage
        ("5f5f5f5f60045afa50", ""),  # a precompile, GAS right before the call
        (call(OTHER), "00"),
        (call(OTHER), READS_CALLER),
        (call(OTHER), READS_NEAR),
        (call(ENTRY_POINT, "f1", "6001"), ""),  # pays the EntryPoint
        (call(OTHER, "f4"), READS_ZERO),  # delegated code reads the account's own
    ],
)
async def test_its_lawful_twin_is_taken_and_executed(world: SafeWorld, snippet: str, other: str) -> None:
    put(world, OTHER, other or "00")
    put(world, ACCOUNT, snippet + VALID)
    assert await take(world, operation()) is None


@pytest.mark.parametrize(
    ("snippet", "rule"), [("5f5450", "STO-031"), ("4750", "OP-080"), (call(OTHER), "STO-033")]
)
async def test_a_paymaster_needs_a_stake_for_more(world: SafeWorld, snippet: str, rule: str) -> None:
    put(world, ACCOUNT, VALID)
    put(world, OTHER, READS_ZERO)
    put(world, PAYMASTER, snippet + SPONSORS)
    error = await take(world, operation(paymaster=True))
    assert error is not None and error.rpc_message.startswith(f"{rule}: the paymaster "), error
    world.rpc("anvil_setBalance", PAYMASTER, hex(10 * c.ETH))
    world.rpc("anvil_impersonateAccount", PAYMASTER)
    for stake, taken in ((c.ETH // 2, False), (c.ETH, True)):
        data = artifact("EntryPoint").call("addStake", 86_400)
        world.rpc.transact(
            {
                "from": PAYMASTER,
                "to": ENTRY_POINT,
                "data": "0x" + data.hex(),
                "value": hex(stake),
                "gas": hex(10**6),
            }
        )
        error = await take(world, operation(paymaster=True))
        assert (error is None) is taken, error
    put(world, PAYMASTER, "60015f55" + call(OTHER, "f1", "5f") + SPONSORS)
    put(world, OTHER, WRITES_ZERO)
    await world.endpoint.call("debug_bundler_clearState", [])
    error = await take(world, operation(paymaster=True))
    assert error is not None and error.rpc_message.startswith("STO-032: the paymaster "), (
        "no stake lets it write to others"
    )


async def test_a_safe_with_its_module_keeps_all_of_them_also_while_it_is_created(world: SafeWorld) -> None:
    wallet = world.safe_with_module(21)
    op = await world.estimated(world.operation(wallet, *sale(wallet, c.ETH)))
    assert await take(world, world.signed(op)) is None
    born = world.unborn(world.operation(Address(c.SAFE), *sale(c.SAFE, c.ETH)), 22)
    made = replace(born, call_data=world.operation(born.sender, *sale(born.sender, c.ETH)).call_data)
    give_eth(world.rpc.url, made.sender, c.ETH)
    give_token(world.rpc.url, c.WETH, made.sender, c.ETH)
    assert await take(world, world.signed(await world.estimated(made))) is None
