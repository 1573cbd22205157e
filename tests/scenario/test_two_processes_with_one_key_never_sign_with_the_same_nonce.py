"""Given two processes that trade with one agent wallet in the same milliseconds, every nonce is another and the venue takes each order.

Number 4 of the failures this must survive. The signer is the real process, and it dies by SIGKILL in between.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from hyper_server import ACCOUNT, hyper_server

from chains.types import Environment
from keys.client import SignerClient, start_signer

TRADER = """
import asyncio, sys
from decimal import Decimal
from pathlib import Path
from agent.domain.ids import ClOrdId
from agent.domain.orders import OrdType, Side, TimeInForce, VenueOrder
from agent.transport.clock import SystemClock
from agent.venues.hyperliquid import connect
from chains.types import Environment
from keys.client import SignerClient

async def main(socket, url, who, count):
    client = SignerClient(Path(socket), Environment.DEVNET)
    asked = 0
    async def sign(method, path, payload):
        nonlocal asked
        asked += 1
        return (await client.sign_exchange(f"{who}-{asked}", "hl", method, path, payload))[0]
    venue = connect("hl", SystemClock(), "ACCOUNT", sign, base_url=url)
    await venue.start()
    async def one(number):
        name = ClOrdId("fl-" + f"{who}{number:02d}".translate(str.maketrans("01", "xy")).ljust(20, "a"))
        order = VenueOrder(name, "PURR/USDC", Side.BUY, OrdType.LIMIT, TimeInForce.GTC, Decimal(1), Decimal(20))
        placed = await venue.submit(await venue.authorize(order))
        assert placed.cl_ord_id == name, placed
    await asyncio.gather(*(one(number) for number in range(int(count))))
    await venue.close()
    await client.close()

asyncio.run(main(*sys.argv[1:]))
"""


def configured(folder: Path) -> Path:
    limits = {"10000": {"per_order": "1000", "per_day": "100000", "px_from": "10", "px_to": "40"}}
    for name, text in (("account", ACCOUNT), ("agent", "07" * 32)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)
    config = {
        "environment": "devnet",
        "ledger": str(folder / "ledger.jsonl"),
        "keystore": str(folder),
        "chains": [],
        "exchanges": {
            "hl": {
                "dialect": "hyperliquid",
                "api_key": f"file:{folder}/account",
                "secret": f"file:{folder}/agent",
                "limits": limits,
                "repeats": 1,
            }
        },
    }
    path = folder / "signer.json"
    path.write_text(json.dumps(config))
    path.chmod(0o600)
    return path


async def traded(socket: Path, url: str, names: str, count: int) -> None:
    """Two traders beside each other, each a process."""
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", TRADER.replace("ACCOUNT", ACCOUNT), str(socket), url, who, str(count),
            stderr=asyncio.subprocess.PIPE,
        )
        for who in names
    ]  # fmt: skip
    for process in processes:
        _, said = await asyncio.wait_for(process.communicate(), 60)
        assert process.returncode == 0, said.decode()


async def test_every_order_of_both_is_taken_and_no_nonce_is_used_twice(tmp_path: Path) -> None:
    config, socket = configured(tmp_path), tmp_path / "s.sock"
    async with hyper_server() as server:
        signer = start_signer(socket, config, tmp_path / "signer.log")
        try:
            await traded(socket, server.url, "bc", 8)
            assert len(server.orders) == 16 and len(set(server.nonces)) == 16
            before = max(server.nonces)
            signer.kill()
            signer.wait(10)
            signer = start_signer(socket, config, tmp_path / "signer.log")
            await traded(socket, server.url, "d", 2)
            assert len(server.orders) == 18 and min(server.nonces[16:]) > before
            async with SignerClient(socket, Environment.DEVNET) as client:
                told = await client.status()
            assert told["exchange_limits"]["hl"]["repeats"] == 1 and told["ledger"]["entries"] == 18
        finally:
            signer.terminate()
            signer.wait(10)
