"""At the devnet's genuine Aave: what is kept of an account and followed by its events is, at every block, what a whole read gives."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aave_chain import DOLLAR, ETH, USDC, WETH, aave_chain
from counting_gateway import Counting
from eth_utils.address import to_checksum_address
from liquidations import LIQUIDATOR, NEVER, Pool

from agent.app.cli import run
from agent.app.settings_tree import Chain
from agent.app.watching.aave import looked_at
from chains.account_views import account_of
from chains.devnet.artifacts import artifact
from chains.devnet.funding import give_token
from chains.followed import MOST_BLOCKS, Followed
from chains.gateway import Gateway
from chains.lending.aave_v3 import AaveAccount, read_account
from chains.rpc import Rpc
from chains.types import Address, ViewReader

pytestmark = pytest.mark.devnet
WHO = to_checksum_address("0xf0110000000000000000000000000000000000f0")
OTHER = to_checksum_address("0x0f110000000000000000000000000000000000e0")
SEED, STEPS = 20_261, 60


@pytest.fixture(scope="module")
def node() -> Iterator[Pool]:
    with aave_chain(WHO) as made:
        give_token(made.rpc.url, USDC, OTHER, 10**6 * DOLLAR)
        give_token(made.rpc.url, USDC, WHO, 10**5 * DOLLAR)
        give_token(made.rpc.url, WETH, WHO, 50 * ETH)
        give_token(made.rpc.url, WETH, OTHER, 50 * ETH)
        for who in (WHO, OTHER):
            for token in (WETH, USDC):
                made.do(who, "MockERC20", token, "approve", made.market.pool, NEVER)
        yield made


@pytest.fixture
def pool(node: Pool) -> Iterator[Pool]:
    with node.undone():
        yield node


class Looks:
    """One account, followed; every look is held against a whole read of the same block."""

    def __init__(self, pool: Pool, gateway: Gateway, *, check_every: int = 10**9) -> None:
        self.pool, self.gateway, self.chain = pool, gateway, Counting(gateway)
        self.followed = Followed(check_every=check_every)

    async def read(self, chain: ViewReader, block: int | str = "latest") -> AaveAccount:
        return await read_account(chain, self.pool.market, Address(WHO), block)

    async def look(self) -> AaveAccount:
        return await self.read(self.followed.over(self.chain, self.chain))

    async def same(self) -> AaveAccount:
        found = await self.look()
        assert found == await self.read(self.gateway, found.block.hash)
        return found


@asynccontextmanager
async def looks(pool: Pool, check_every: int = 10**9) -> AsyncIterator[Looks]:
    async with aiohttp.ClientSession() as session:
        yield Looks(pool, Gateway(1, [Rpc(pool.rpc.url, session)]), check_every=check_every)


def a_token(pool: Pool, token: str) -> Address:
    return Address(to_checksum_address(pool.reserve(token)[8]))


def act(pool: Pool, rng: random.Random) -> bool:
    """One thing that somebody does, in a block of its own; whether it moved one of WHO's balances."""
    market, usd = pool.market.pool, rng.randrange(1, 900) * DOLLAR + rng.randrange(DOLLAR)
    wei = rng.randrange(1, 10**17)
    own = [
        lambda: pool.do(WHO, "AavePool", market, "supply", WETH, wei, WHO, 0),
        lambda: pool.do(WHO, "AavePool", market, "supply", USDC, usd, WHO, 0),
        lambda: pool.do(OTHER, "AavePool", market, "supply", WETH, wei, WHO, 0),
        lambda: pool.do(WHO, "AavePool", market, "withdraw", WETH, wei, WHO),
        lambda: pool.do(WHO, "AavePool", market, "borrow", USDC, usd, 2, 0, WHO),
        lambda: pool.do(WHO, "AavePool", market, "repay", USDC, usd, 2, WHO),
        lambda: pool.do(OTHER, "AavePool", market, "repay", USDC, usd, 2, WHO),
        lambda: pool.do(WHO, "MockERC20", a_token(pool, WETH), "transfer", OTHER, wei),
        lambda: pool.do(OTHER, "MockERC20", a_token(pool, USDC), "transfer", WHO, usd),
    ]
    others = [
        lambda: pool.do(OTHER, "AavePool", market, "supply", USDC, usd, OTHER, 0),
        lambda: pool.do(OTHER, "AavePool", market, "borrow", WETH, wei // 9, 2, 0, OTHER),
        lambda: pool.mine(pool.now() + rng.choice((1, 12, 86_400, 30 * 86_400))),
    ]
    moved = rng.random() < 0.6
    rng.choice(own if moved else others)()
    return moved


async def test_whatever_is_done_the_followed_account_is_the_whole_one(pool: Pool) -> None:
    rng = random.Random(SEED)
    pool.do(OTHER, "AavePool", pool.market.pool, "supply", USDC, 300_000 * DOLLAR, OTHER, 0)
    async with looks(pool) as seen:
        await seen.same()
        first = seen.chain.requests
        told = 0
        for n in range(STEPS):
            moved = [act(pool, rng) for _ in range(rng.choice((1, 1, 1, 2, 3)))]
            seen.chain.requests = seen.chain.calls = 0
            before = len(seen.followed.changes)
            await seen.same()
            news = seen.followed.changes[before:] if before < 32 else seen.followed.changes
            assert any(moved) <= bool(news), f"step {n}: {seen.followed.changes}"
            if not any(moved):
                assert seen.chain.requests == first - 1, "nothing of the account's own was asked for"
                told += 1
        assert told > 10 and seen.followed.spared > 10 * told and not seen.followed.distrusted


async def test_a_liquidation_by_somebody_else_is_followed(pool: Pool) -> None:
    async with looks(pool) as seen:
        before = await seen.same()
        pool.block(WETH, USDC, WHO, {WETH: 2_000 * 10**8}, pool.now() + 12)
        after = await seen.same()
        debt = {r.asset: r.scaled_debt_raw for r in after.reserves}[Address(to_checksum_address(USDC))]
        assert (
            0
            < debt
            < {r.asset: r.scaled_debt_raw for r in before.reserves}[Address(to_checksum_address(USDC))]
        )
        change = seen.followed.changes[-1]
        assert account_of(change.subject) == WHO and change.block == after.block.number
        receipt = pool.rpc("eth_getTransactionReceipt", change.tx_hash)
        assert receipt["from"] == LIQUIDATOR.lower()


async def test_what_a_reorganisation_takes_back_is_not_kept(pool: Pool) -> None:
    async with looks(pool) as seen:
        await seen.same()
        with pool.undone():
            pool.do(WHO, "AavePool", pool.market.pool, "withdraw", WETH, ETH, WHO)
            gone = await seen.same()
        pool.mine(pool.now() + 5)
        back = await seen.same()
        assert back.block.number <= gone.block.number and back.block.hash != gone.block.hash
        assert [r.scaled_supply_raw for r in back.reserves] != [r.scaled_supply_raw for r in gone.reserves]
        for _ in range(3):
            pool.mine(pool.now() + 1)
            await seen.same()


async def test_logs_that_do_not_come_and_long_gaps_are_read_whole(pool: Pool) -> None:
    async with looks(pool) as seen:
        await seen.same()
        seen.chain.silent = True
        pool.do(WHO, "AavePool", pool.market.pool, "withdraw", WETH, ETH, WHO)
        await seen.same()
        assert seen.followed.spared == 0
        seen.chain.silent = False
        pool.rpc("anvil_mine", hex(MOST_BLOCKS + 1))
        await seen.same()
        assert seen.followed.spared == 0, "nobody follows so many blocks"
        pool.rpc("anvil_mine", hex(MOST_BLOCKS))
        await seen.same()
        assert seen.followed.spared > 0


async def test_a_log_that_a_node_leaves_out_ends_the_belief_in_events(pool: Pool) -> None:
    """Where nobody compares with the market's own figures, the whole read of every so many blocks finds it."""
    async with looks(pool, check_every=3) as seen:
        await seen.same()
        seen.chain.without = a_token(pool, WETH)
        pool.do(WHO, "AavePool", pool.market.pool, "withdraw", WETH, ETH, WHO)
        wrong = await seen.look()
        assert wrong != await seen.read(seen.gateway, wrong.block.hash), "else the node left nothing out"
        for _ in range(2):
            pool.mine(pool.now() + 1)
            found = await seen.look()
        assert found == await seen.read(seen.gateway, found.block.hash)
        assert a_token(pool, WETH) in seen.followed.distrusted
        spared = seen.followed.spared
        pool.do(WHO, "AavePool", pool.market.pool, "supply", WETH, ETH, WHO, 0)
        await seen.same()
        assert seen.followed.spared == spared, "read whole for good"


async def test_figures_that_are_not_the_markets_are_read_again_whole_in_the_same_look(pool: Pool) -> None:
    async with looks(pool) as seen:
        settings = Chain.model_validate({"name": "ethereum", "chain_id": 1, "rpc": [pool.rpc.url]})

        async def told() -> tuple[bool | None, str]:
            one = await looked_at(settings, seen.followed.over(seen.chain, seen.chain), Address(WHO))
            assert one is not None
            return one.equal, one.trouble

        assert await told() == (True, "")
        seen.chain.without = a_token(pool, WETH)
        pool.do(WHO, "AavePool", pool.market.pool, "withdraw", WETH, ETH, WHO)
        assert await told() == (True, "")
        assert seen.followed.spared > 0


def test_a_live_view_names_the_transaction_that_changed_the_account(
    pool: Pool, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "f.toml"
    assert run(["init", "--watch", WHO, "--rpc", pool.rpc.url, "--out", str(path)]) == 0, capfd.readouterr()
    command = [sys.executable, "-m", "agent", "--settings", str(path), "health", "--watch", "--every", "0.3", "--count", "8"]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as view:
        assert view.stdout is not None
        shown = ""
        while "ends it" not in shown:
            line = view.stdout.readline()
            assert line, shown
            shown += line
        assert "changed" not in shown
        sent = pool.queue(WHO, pool.market.pool, artifact("AavePool").call("withdraw", WETH, ETH, WHO))
        pool.mine(pool.now() + 1)
        number = int(pool.rpc("eth_getTransactionReceipt", sent)["blockNumber"], 16)
        shown += view.stdout.read()
    assert view.returncode == 0, shown
    assert shown.split("changed\n")[1].startswith(f"  ethereum block {number} by {sent}\n\n"), shown
    assert shown.count("equal to the last digit") == 8
