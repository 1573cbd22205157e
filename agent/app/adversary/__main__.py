"""The command line of the sandwich bot. It funds itself by cheat methods, so it works on a devnet and nowhere else.

  python -m agent.app.adversary --port P --rpc URL --cheat URL --pool KIND:ID… [--builder NAME=URL…]

GET /   {"service": "sandwich", "address", "head", "judged": [what it saw and what it did about it]}
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence

import aiohttp
import orjson
from aiohttp import web

from agent.app.adversary.bot import Bot
from agent.execution.batch import Routers
from chains.devnet.funding import give_eth, give_token
from chains.devnet.jsonrpc import Rpc as Admin
from chains.devnet.nodes import environment_at
from chains.errors import Denied, FairleadError, Usage
from chains.gateway import Gateway
from chains.pools import PoolReader, PoolSpec, V4Contracts
from chains.profile import ChainProfile
from chains.profiles import load
from chains.relay_auth import local_header
from chains.rpc import Rpc
from chains.types import Fees, UnsignedTx
from contracts.codec import encode
from contracts.hashing import keccak
from keys.curve import SigningKey
from keys.transactions import assemble, digest

CHAIN = 1
SECRET = keccak(b"the devnet's sandwich bot")
"""Worth nothing anywhere else: whoever reads this file has it."""
EVERY_S = 0.02
ROLLED_BACK = 1_000
"""A devnet's own snapshots take it back by blocks: its one node is not behind then."""
WEALTH = {"weth": 20_000 * 10**18, "usdc": 60_000_000 * 10**6}
GAS_WEI = 1_000 * 10**18
READABLE = ("uniswap_v2", "uniswap_v3", "uniswap_v4")


def pool_spec(text: str) -> PoolSpec:
    """KIND:ID. Raises Usage BAD_POOL."""
    kind, _, name = text.partition(":")
    if kind not in READABLE or not name.startswith("0x"):
        raise Usage("BAD_POOL", f"--pool '{text}' is not KIND:0x…", f"kinds are {', '.join(READABLE)}")
    return PoolSpec(kind, name)


def builder_door(text: str) -> tuple[str, str]:
    """NAME=URL. Raises Usage BAD_BUILDER."""
    name, _, url = text.partition("=")
    if not name or not url.startswith("http"):
        raise Usage(
            "BAD_BUILDER",
            f"--builder '{text}' is not NAME=URL",
            "like titan=http://127.0.0.1:…/builder/titan",
        )
    return name, url


def provide(cheat_url: str, profile: ChainProfile, key: SigningKey) -> None:
    """Money and allowances for the bot, in blocks of their own. Raises Denied NOT_A_DEVNET."""
    if environment_at(cheat_url) is None:
        raise Denied("NOT_A_DEVNET", "the sandwich bot works on a devnet only", "this chain has no marker")
    tokens = {profile.wrapped_native: WEALTH["weth"], profile.usdc: WEALTH["usdc"]}
    give_eth(cheat_url, key.address, GAS_WEI)
    permit2, router = profile.contracts["permit2"], profile.contracts["universal_router"]
    with Admin(cheat_url) as admin:
        for token, amount in tokens.items():
            give_token(cheat_url, token, key.address, amount)
            for to, data in (
                (token, encode("erc20", "approve", (permit2, 2**256 - 1))),
                (permit2, encode("permit2", "approve", (token, router, 2**160 - 1, 2**48 - 1))),
            ):
                nonce = int(admin("eth_getTransactionCount", key.address, "latest"), 16)
                base = int(admin("eth_getBlockByNumber", "latest", False)["baseFeePerGas"], 16)
                tx = UnsignedTx(CHAIN, nonce, to, 0, data, 120_000, Fees(4 * base + 10**9, 10**9))
                signed = assemble(tx, key.sign(digest(tx)), key.address)
                admin("eth_sendRawTransaction", "0x" + signed.raw.hex())


async def serve(
    port: int, url: str, cheat_url: str, specs: Sequence[PoolSpec], builders: dict[str, str]
) -> None:
    profile, key = load(CHAIN), SigningKey(SECRET)
    await asyncio.to_thread(provide, cheat_url, profile, key)
    contracts = profile.contracts
    async with aiohttp.ClientSession() as session:
        rpc = Rpc(url, session)
        gateway = Gateway(CHAIN, [rpc], max_lag=ROLLED_BACK)
        v4 = V4Contracts(
            contracts["uniswap_v4_pool_manager"], contracts["uniswap_v4_state_view"], contracts["uniswap_v4_position_manager"]
        )  # fmt: skip
        bot = Bot(
            rpc, gateway, PoolReader(gateway, specs, v4),
            Routers(CHAIN, contracts["permit2"], contracts["universal_router"], None, profile.wrapped_native),
            contracts["uniswap_v3_router_02"], key, local_header(SECRET), session, builders,
        )  # fmt: skip

        async def about(request: web.Request) -> web.StreamResponse:
            judged = [one.to_json() for one in bot.judged.values()]
            body = {"service": "sandwich", "address": key.address, "head": bot.head, "judged": judged}
            return web.Response(body=orjson.dumps(body), content_type="application/json")

        app = web.Application()
        app.add_routes([web.get("/", about)])
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
        except OSError:
            raise Usage("PORT_IN_USE", f"port {port} on 127.0.0.1 is taken", "choose another port") from None
        await bot.step()
        print(f"sandwich ready http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
        stop = asyncio.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, stop.set)
        working = asyncio.create_task(bot.work(EVERY_S), name="bot")
        stopping = asyncio.create_task(stop.wait(), name="stop")
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        for task in (working, stopping):
            task.cancel()
        told = await asyncio.gather(working, stopping, return_exceptions=True)
        await runner.cleanup()
        for failed in told:
            if isinstance(failed, BaseException) and not isinstance(failed, asyncio.CancelledError):
                raise failed


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m agent.app.adversary", description="A sandwich bot for the local chain 1."
    )
    parser.add_argument("--port", type=int, required=True, help="on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--rpc", required=True, help="the chain's public url")
    parser.add_argument(
        "--cheat", required=True, help="the devnet's url that answers cheat methods: the bot's money"
    )
    parser.add_argument(
        "--pool", action="append", default=[], metavar="KIND:ID", help="a pool it knows; again for each"
    )
    parser.add_argument(
        "--builder",
        action="append",
        default=[],
        metavar="NAME=URL",
        help="a builder that sells; again for each",
    )
    options = parser.parse_args(arguments)
    try:
        specs = [pool_spec(text) for text in options.pool]
        builders = dict(builder_door(text) for text in options.builder)
        asyncio.run(serve(options.port, options.rpc, options.cheat, specs, builders))
    except FairleadError as error:
        print(f"sandwich: {error}", file=sys.stderr)
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
