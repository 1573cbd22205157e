"""User operations for tests: random ones, and a Safe of three owners that takes them on the devnet."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import custody as c

from chains.bundler import Bundler, Sent, UserOpReceipt
from chains.devnet.addresses import SAFE
from chains.devnet.funding import create_safe, give_eth, give_token
from chains.devnet.jsonrpc import Rpc
from chains.gateway import Gateway
from chains.profiles import load
from chains.rpc import Rpc as AsyncRpc
from chains.types import Address, Call, Fees
from chains.userops import ENTRY_POINT, Paymaster, UserOperation
from contracts.codec import decode_result, encode
from contracts.hashing import checksum, keccak
from contracts.multisend import Part, calldata
from keys import erc4337, safe
from keys.erc4337 import Window
from keys.safe import DELEGATECALL, SafeTx

ROOT = Path(__file__).resolve().parents[2]
OWNERS = [Address(o.address) for o in c.OWNERS]


def random_address(rng: random.Random) -> Address:
    return Address(checksum(rng.randbytes(20)))


def random_operation(rng: random.Random) -> UserOperation:
    """Every field over its whole range, short and long, with and without factory and paymaster."""

    def gas() -> int:
        return rng.getrandbits(rng.choice([1, 20, 64, 120]))

    cap = gas()
    factory = random_address(rng) if rng.random() < 0.5 else None
    pays = None
    if rng.random() < 0.5:
        pays = Paymaster(random_address(rng), gas(), gas(), rng.randbytes(rng.choice([0, 1, 65, 200])))
    return UserOperation(
        random_address(rng),
        rng.getrandbits(rng.choice([1, 64, 256])),
        rng.randbytes(rng.choice([0, 4, 31, 32, 500])),
        gas(),
        gas(),
        gas(),
        Fees(cap, rng.randint(0, cap)),
        factory,
        rng.randbytes(rng.choice([0, 33, 400])) if factory else b"",
        pays,
        rng.randbytes(rng.choice([0, 12, 77, 142])),
    )


def random_window(rng: random.Random) -> Window:
    after, until = sorted(rng.getrandbits(rng.choice([1, 32, 48])) for _ in range(2))
    return Window(until if rng.random() < 0.9 else 0, after)


def sale(wallet: str, amount: int, minimum: int = 1) -> tuple[Part, Part]:
    """WETH for USDC on Uniswap V3's 0.05 % pool, the allowance used up."""
    single = {
        "tokenIn": c.WETH, "tokenOut": c.USDC, "fee": 500, "recipient": wallet, "amountIn": amount,
        "amountOutMinimum": minimum, "sqrtPriceLimitX96": 0,
    }  # fmt: skip
    return c.approve(c.WETH, c.ROUTER02, amount), Part(
        c.ROUTER02, 0, encode("swap_router_02", "exactInputSingle", (single,))
    )


@contextmanager
def bundler_process(
    rpc_url: str, folder: Path, *more: str, key: bytes = keccak(b"bundler")
) -> Iterator[tuple[str, str]]:
    """The devnet's bundler as a process of its own, with `more` words on its command line: (its url, its account)."""
    key_file = folder / "bundler.key"
    key_file.write_text(key.hex())
    command = [sys.executable, "-m", "chains.devnet.bundler", "--port", "0", "--rpc", rpc_url]
    log = (folder / "bundler.log").open("w")
    process = subprocess.Popen(
        [*command, "--key-file", str(key_file), *more],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline().split()
        assert line[:2] == ["bundler", "ready"], (folder / "bundler.log").read_text()
        yield line[2], line[4]
    finally:
        process.terminate()
        process.wait(20)
        if process.stdout is not None:
            process.stdout.close()
        log.close()


@dataclass
class SafeWorld:
    """Chain 1 of the devnet, a bundler, and Safes of three owners, two of whom have to sign."""

    rpc: Rpc
    chain: Gateway
    bundler: Bundler
    endpoint: AsyncRpc
    session: aiohttp.ClientSession
    account: str
    fees: Fees = Fees(40 * 10**9, 2 * 10**9)
    rng: random.Random = field(default_factory=lambda: random.Random(4337))

    @property
    def now(self) -> int:
        return int(self.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)

    def window(self) -> Window:
        return Window(self.now + 600)

    def nobody(self) -> str:
        """An account without key that the node lets us send from."""
        sender = "0x00000000000000000000000000000000000c0FFe"
        self.rpc("anvil_setBalance", sender, hex(10**22))
        self.rpc("anvil_impersonateAccount", sender)
        return sender

    def transact(self, to: str, data: bytes, value: int = 0) -> dict[str, Any]:
        """From an account of nobody's; mined and successful."""
        sender = "0x00000000000000000000000000000000000c0FFe"
        self.rpc("anvil_setBalance", sender, hex(10**22))
        self.rpc("anvil_impersonateAccount", sender)
        call = {
            "from": sender,
            "to": to,
            "data": "0x" + data.hex(),
            "value": hex(value),
            "gas": hex(5_000_000),
        }
        receipt = self.rpc.transact(call)
        assert receipt["status"] == "0x1"
        return receipt

    def safe_with_module(self, salt: int) -> Address:
        """A standing Safe whose owners enable the module by a Safe transaction, with 10 ETH and 50 WETH."""
        wallet = create_safe(self.rpc.url, OWNERS, 2, salt)
        parts = erc4337.enabling(wallet)
        tx = SafeTx(Address(c.MULTISEND), 0, calldata(parts), DELEGATECALL, 0)
        digest = safe.safe_tx_hash(1, wallet, tx)
        packed = safe.pack_signatures(digest, [o.sign(digest) for o in c.OWNERS], OWNERS, 2)
        self.transact(wallet, safe.exec_transaction(tx, packed))
        give_eth(self.rpc.url, wallet, 10 * c.ETH)
        give_token(self.rpc.url, c.WETH, wallet, 50 * c.ETH)
        return wallet

    def unborn(self, op: UserOperation, salt: int) -> UserOperation:
        """The same as the first operation of a Safe that does not stand."""
        factory = SAFE["SafeProxyFactory"]
        asked = {"to": factory, "data": "0x" + encode("safe_proxy_factory", "proxyCreationCode").hex()}
        answer = bytes.fromhex(self.rpc("eth_call", asked, "latest")[2:])
        code = decode_result("safe_proxy_factory", "proxyCreationCode", answer)[0]
        made = erc4337.setup(OWNERS, 2, salt)
        return erc4337.created(op, Address(factory), Address(SAFE["Safe"]), code, made)

    def operation(
        self, wallet: Address, *parts: Part, nonce: int = 0, fees: Fees | None = None
    ) -> UserOperation:
        data = erc4337.batch(Address(c.MULTISEND), parts)
        return erc4337.operation(wallet, nonce, data, fees or self.fees)

    async def estimated(self, op: UserOperation) -> UserOperation:
        gas = await self.bundler.estimate(erc4337.to_estimate(op, self.window(), 2))
        return gas.applied(op, 2 * erc4337.OWNER_GAS)

    def signed(self, op: UserOperation, window: Window | None = None) -> UserOperation:
        window = window or self.window()
        digest = erc4337.safe_op_hash(1, op, window)
        signatures = [owner.sign(digest) for owner in self.rng.sample(c.OWNERS, 2)]
        op = erc4337.signed(1, op, window, signatures, OWNERS, 2)
        assert len(erc4337.check_signed(1, op, OWNERS, 2, self.now)) == 2
        return op

    async def deposit(self, account: str) -> int:
        """What lies for `account` in the EntryPoint, in wei."""
        data = encode("entry_point_07", "balanceOf", (account,))
        return int.from_bytes((await self.chain.call(Call(ENTRY_POINT, data))).data, "big")

    async def settled(self, sent: Sent, patience_s: float = 20.0) -> UserOpReceipt:
        until = asyncio.get_running_loop().time() + patience_s
        while asyncio.get_running_loop().time() < until:
            found = await self.bundler.lookup(sent.op_hash, sent.at_block)
            if isinstance(found, UserOpReceipt):
                return found
            await asyncio.sleep(0.05)
        raise AssertionError(f"{sent.op_hash} was not included")

    async def done(self, op: UserOperation) -> UserOpReceipt:
        """Estimated, signed by two owners, sent, and followed to its receipt."""
        return await self.settled(await self.bundler.send(self.signed(await self.estimated(op))))


@asynccontextmanager
async def open_safe_world(
    cheat_url: str, bundler_url: str, account: str, *, debug: bool = True
) -> AsyncIterator[SafeWorld]:
    """`debug` false for a bundler without the debug methods."""
    give_eth(cheat_url, account, 100 * c.ETH)
    async with aiohttp.ClientSession() as session:
        chain = Gateway.of(load(1), [AsyncRpc(cheat_url, session)])
        endpoint = AsyncRpc(bundler_url, session)
        if debug:
            await endpoint.call("debug_bundler_clearState")
            await endpoint.call("debug_bundler_setBundlingMode", ["auto"])
        with Rpc(cheat_url) as rpc:
            yield SafeWorld(rpc, chain, Bundler(endpoint, chain), endpoint, session, account)
