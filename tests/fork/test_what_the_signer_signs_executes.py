"""Batches signed by the signer's process execute on the genuine contracts, and leave no allowance and nothing in a router."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import custody as c
import pytest

from chains.devnet.addresses import CHAINS
from chains.devnet.funding import create_safe, give_eth, give_token, safe_address, token_balance
from chains.devnet.jsonrpc import Rpc, RpcError
from chains.devnet.service import Status
from chains.profiles import load
from chains.types import ZERO_ADDRESS, Address, Environment
from contracts import universal_router as ur
from contracts.codec import decode_event, decode_result, encode
from contracts.hashing import checksum
from contracts.multisend import Part
from keys import safe
from keys.client import SignerClient, start_signer
from keys.safe import SafeSetup, SafeTx

pytestmark = pytest.mark.devnet
E18, E6 = 10**18, 10**6
OWNERS = [Address(o.address) for o in c.OWNERS]
KEY = {"currency0": ZERO_ADDRESS, "currency1": c.USDC, "fee": 500, "tickSpacing": 10, "hooks": ZERO_ADDRESS}


@dataclass
class Topic:
    """A log as the codec reads it."""

    topics: list[bytes]
    data: bytes


@dataclass
class World:
    rpc: Rpc
    wallet: Address
    client: SignerClient
    now: int
    sent: int = 0

    @property
    def deadline(self) -> int:
        return self.now + 600

    def read(self, to: str, contract: str, function: str, *args: object) -> object:
        data = self.rpc(
            "eth_call", {"to": to, "data": "0x" + encode(contract, function, args).hex()}, "latest"
        )
        return decode_result(contract, function, bytes.fromhex(data[2:]))[0]

    async def execute(self, *parts: Part) -> dict[str, object]:
        """Judged, signed by two owners and the sender in the signer's process, sent, mined; the Safe's own event decides."""
        nonce = self.sent
        tx = c.batch(*parts, nonce=nonce)
        owners = await self.client.sign_safe_tx(f"s{nonce}", 1, self.wallet, tx, chain_time=self.now)
        packed = safe.pack_signatures(owners.safe_tx_hash, owners.by_owner.values(), OWNERS, 2)
        outer = c.outer(safe.exec_transaction(tx, packed), nonce, self.wallet, gas=2_500_000)
        signed = await self.client.sign_tx(
            f"t{nonce}", Address(c.AGENT.address), outer, nonce, chain_time=self.now
        )
        assert self.rpc("eth_sendRawTransaction", "0x" + signed.raw.hex()) == signed.hash
        self.rpc("evm_mine")
        self.sent += 1
        receipt = self.rpc("eth_getTransactionReceipt", signed.hash)
        if int(receipt["status"], 16) != 1:
            call = {"from": c.AGENT.address, "to": self.wallet, "data": "0x" + outer.data.hex()}
            pytest.fail(f"reverted: {self.rpc('eth_call', call, 'latest')}")
        logs = [
            Topic([bytes.fromhex(t[2:]) for t in log["topics"]], bytes.fromhex(log["data"][2:]))
            for log in receipt["logs"]
        ]
        events = [e.event for log in logs if (e := decode_event("safe", log)) is not None]
        assert events == ["ExecutionSuccess"]
        return dict(receipt)

    def clean(self) -> None:
        for token in (c.WETH, c.USDC):
            for spender in (c.PERMIT2, c.ROUTER, c.ROUTER02, c.V2_ROUTER, c.VAULT, c.AAVE):
                assert self.read(token, "erc20", "allowance", self.wallet, spender) == 0
            assert self.read(c.PERMIT2, "permit2", "allowance", self.wallet, token, c.ROUTER) == 0
            assert token_balance(self.rpc, token, c.ROUTER) == 0
        assert int(self.rpc("eth_getBalance", c.ROUTER, "latest"), 16) == 0


@pytest.fixture
async def world(devnet: Status, tmp_path: Path) -> AsyncIterator[World]:
    assert CHAINS[1].uniswap.universal_router == c.ROUTER and CHAINS[1].weth == c.WETH
    url = devnet.cheat_urls[1]
    wallet = create_safe(url, OWNERS, 2, 77)
    give_token(url, c.WETH, wallet, 50 * E18)
    give_token(url, c.USDC, wallet, 50_000 * E6)
    give_eth(url, wallet, 10 * E18)
    give_eth(url, c.AGENT.address, E18)
    config = c.signer_files(tmp_path, chains=[c.chain_json(wallet)])
    process = start_signer(tmp_path / "s.sock", config, tmp_path / "log")
    with Rpc(url) as rpc:
        now = int(rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
        async with SignerClient(tmp_path / "s.sock", Environment.DEVNET) as client:
            yield World(rpc, wallet, client, now)
    process.terminate()
    process.wait(10)


async def test_a_sale_over_v3_and_v2(world: World) -> None:
    before = token_balance(world.rpc, c.USDC, world.wallet)
    until = world.deadline
    await world.execute(
        c.approve(c.WETH, c.PERMIT2, 5 * E18),
        c.permit(c.WETH, c.ROUTER, 5 * E18, until),
        c.route([c.v3_command(3 * E18, 8_000 * E6), c.v2_command(2 * E18, 5_000 * E6)], until),
    )
    assert token_balance(world.rpc, c.USDC, world.wallet) - before > 14_000 * E6
    assert token_balance(world.rpc, c.WETH, world.wallet) == 45 * E18
    world.clean()


async def test_v4_with_ether_with_wrapped_ether_and_back(world: World) -> None:
    until = world.deadline
    await world.execute(c.route([ur.v4_exact_in_single(KEY, True, E18, 2_500 * E6)], until, value=E18))
    swap = {
        "poolKey": KEY,
        "zeroForOne": True,
        "amountIn": 2 * E18,
        "amountOutMinimum": 5_000 * E6,
        "hookData": b"",
    }
    await world.execute(
        c.approve(c.WETH, c.PERMIT2, 2 * E18),
        c.permit(c.WETH, c.ROUTER, 2 * E18, until),
        c.route(
            [
                ur.Command(
                    "PERMIT2_TRANSFER_FROM",
                    {"token": c.WETH, "recipient": ur.ADDRESS_THIS, "amount": 2 * E18},
                ),
                ur.Command("UNWRAP_WETH", {"recipient": ur.ADDRESS_THIS, "amountMin": 2 * E18}),
                ur.v4_swap(
                    [
                        ur.Command("SWAP_EXACT_IN_SINGLE", {"swap": swap}),
                        ur.Command(
                            "SETTLE", {"currency": ZERO_ADDRESS, "amount": 2 * E18, "payerIsUser": False}
                        ),
                        ur.Command("TAKE_ALL", {"currency": c.USDC, "minAmount": 5_000 * E6}),
                    ]
                ),
            ],
            until,
        ),
    )
    back = {
        "poolKey": KEY,
        "zeroForOne": False,
        "amountIn": 3_000 * E6,
        "amountOutMinimum": E18 // 2,
        "hookData": b"",
    }
    before = token_balance(world.rpc, c.WETH, world.wallet)
    await world.execute(
        c.approve(c.USDC, c.PERMIT2, 3_000 * E6),
        c.permit(c.USDC, c.ROUTER, 3_000 * E6, until),
        c.route(
            [
                ur.v4_swap(
                    [
                        ur.Command("SWAP_EXACT_IN_SINGLE", {"swap": back}),
                        ur.Command("SETTLE_ALL", {"currency": c.USDC, "maxAmount": 3_000 * E6}),
                        ur.Command(
                            "TAKE", {"currency": ZERO_ADDRESS, "recipient": ur.ADDRESS_THIS, "amount": 0}
                        ),
                    ]
                ),
                ur.Command("WRAP_ETH", {"recipient": ur.MSG_SENDER, "amount": ur.CONTRACT_BALANCE}),
            ],
            until,
        ),
    )
    assert token_balance(world.rpc, c.WETH, world.wallet) - before > 9 * E18 // 10
    world.clean()


async def test_other_routers_and_exact_output(world: World) -> None:
    until, wallet = world.deadline, world.wallet
    single = {
        "tokenIn": c.WETH,
        "tokenOut": c.USDC,
        "fee": 500,
        "recipient": wallet,
        "amountIn": E18,
        "amountOutMinimum": 2_500 * E6,
        "sqrtPriceLimitX96": 0,
    }
    inner = encode("swap_router_02", "exactInputSingle", (single,))
    bought = {
        "recipient": ur.MSG_SENDER,
        "amountOut": 1_000 * E6,
        "amountInMax": E18,
        "path": ur.v3_path([c.USDC, c.WETH], [500]),
        "payerIsUser": True,
    }
    await world.execute(
        c.approve(c.WETH, c.ROUTER02, E18),
        Part(c.ROUTER02, 0, encode("swap_router_02", "multicall", (until, (inner,)))),
        c.approve(c.WETH, c.V2_ROUTER, E18),
        c.call(
            c.V2_ROUTER,
            "uniswap_v2_router",
            "swapExactTokensForTokens",
            E18,
            E6,
            (c.WETH, c.USDC),
            wallet,
            until,
        ),
        c.approve(c.WETH, c.PERMIT2, E18),
        c.permit(c.WETH, c.ROUTER, E18, until),
        c.route([ur.Command("V3_SWAP_EXACT_OUT", bought)], until),
        c.permit(c.WETH, c.ROUTER, 0, 0),
        c.approve(c.WETH, c.PERMIT2, 0),
    )
    world.clean()


async def test_an_aave_position_is_opened_and_paid_back(world: World) -> None:
    wallet = world.wallet
    guard = Part(c.ROUTER, 0, ur.deadline_guard(wallet, c.USDC, world.deadline))
    await world.execute(
        guard,
        c.approve(c.WETH, c.AAVE, 10 * E18),
        c.call(c.AAVE, "aave_v3_pool", "supply", c.WETH, 10 * E18, wallet, 0),
        c.call(c.AAVE, "aave_v3_pool", "setUserUseReserveAsCollateral", c.WETH, True),
        c.call(c.AAVE, "aave_v3_pool", "borrow", c.USDC, 5_000 * E6, 2, 0, wallet),
    )
    assert token_balance(world.rpc, c.USDC, wallet) == 55_000 * E6
    await world.execute(
        guard,
        c.approve(c.USDC, c.AAVE, 6_000 * E6),
        c.call(c.AAVE, "aave_v3_pool", "repay", c.USDC, 6_000 * E6, 2, wallet),
        c.approve(c.USDC, c.AAVE, 0),
        c.call(c.AAVE, "aave_v3_pool", "withdraw", c.WETH, (1 << 256) - 1, wallet),
    )
    assert token_balance(world.rpc, c.WETH, wallet) >= 50 * E18
    world.clean()


async def test_an_expired_batch_reverts(world: World) -> None:
    until = world.now + 30
    world.rpc("evm_setNextBlockTimestamp", world.now + 31)
    world.rpc("evm_mine")
    tx = c.batch(
        c.approve(c.WETH, c.PERMIT2, E18),
        c.permit(c.WETH, c.ROUTER, E18, until),
        c.route([c.v3_command(E18, E6)], until),
    )
    owners = await world.client.sign_safe_tx("late", 1, world.wallet, tx, chain_time=world.now)
    packed = safe.pack_signatures(owners.safe_tx_hash, owners.by_owner.values(), OWNERS, 2)
    data = "0x" + safe.exec_transaction(tx, packed).hex()
    with pytest.raises(RpcError):
        world.rpc("eth_call", {"from": c.AGENT.address, "to": world.wallet, "data": data}, "latest")


async def test_hashes_and_addresses_equal_the_contracts_own(world: World) -> None:
    rng = random.Random(3)
    for _ in range(60):
        to, value, data = checksum(rng.randbytes(20)), rng.getrandbits(256), rng.randbytes(rng.randrange(200))
        numbers = [rng.getrandbits(rng.choice([1, 64, 256])) for _ in range(3)]
        places = [Address(checksum(rng.randbytes(20))) for _ in range(2)]
        tx = SafeTx(Address(to), value, data, rng.randrange(2), rng.getrandbits(64), *numbers, *places)
        args = (to, value, data, tx.operation, *numbers, *places, tx.nonce)
        assert world.read(world.wallet, "safe", "getTransactionHash", *args) == safe.safe_tx_hash(
            1, world.wallet, tx
        )
    profile = load(1).contracts
    factory, singleton = profile["safe_proxy_factory"], profile["safe"]
    code = world.read(factory, "safe_proxy_factory", "proxyCreationCode")
    for salt in (0, 77, 10**20):
        setup = SafeSetup(tuple(OWNERS), 2, profile["safe_fallback_handler"], salt)
        assert isinstance(code, bytes)
        assert safe.counterfactual_address(factory, singleton, code, setup) == safe_address(OWNERS, 2, salt)
    fresh = SafeSetup(tuple(OWNERS[:2]), 1, profile["safe_fallback_handler"], 5)
    call = safe.create_call(factory, singleton, fresh)
    world.rpc("anvil_impersonateAccount", c.AGENT.address)
    world.rpc("eth_sendTransaction", {"from": c.AGENT.address, "to": call.to, "data": "0x" + call.data.hex()})
    world.rpc("evm_mine")
    where = safe.counterfactual_address(factory, singleton, code, fresh)
    assert world.read(where, "safe", "getOwners") == tuple(OWNERS[:2])
