"""A position at the genuine Morpho Blue on a devnet chain: read at one block, computed to the wei, shown and stressed with the rest."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from eth_abi import decode, encode
from eth_hash.auto import keccak
from lending_oracle import _kind, compiled

from agent.app.cli import run
from agent.app.watching.loans import morpho_account
from agent.margin.model import State
from agent.margin.morpho_blue import MODEL, debt_raw
from chains.devnet.jsonrpc import Rpc as Sync
from chains.devnet.service import Status
from chains.errors import Retry
from chains.gateway import Gateway
from chains.lending.morpho_blue import read_position
from chains.rpc import Rpc
from chains.types import Address

pytestmark = pytest.mark.devnet
SENDER, WHO = "0x" + "5e" * 20, "0x" + "ab" * 20
LLTV, E18 = 86 * 10**16, 10**18


class Morpho:
    def __init__(self, url: str) -> None:
        self.url, self.rpc, self.code = url, Sync(url), compiled("Morpho")
        self.abi = {e["name"]: e for e in self.code["abi"] if e["type"] == "function"}
        self.rpc("anvil_impersonateAccount", SENDER)
        self.rpc("anvil_setBalance", SENDER, hex(10**22))
        self.address = self.send(None, "0x" + self.code["bytecode"])["contractAddress"]

    def send(self, to: str | None, data: str) -> Any:
        given = {"from": SENDER, "data": data, "gas": hex(16_000_000)} | ({"to": to} if to else {})
        tx = self.rpc("eth_sendTransaction", given)
        for _ in range(300):
            receipt = self.rpc("eth_getTransactionReceipt", tx)
            if receipt is not None:
                assert receipt["status"] == "0x1"
                return receipt
            time.sleep(0.01)
        raise AssertionError("not mined")

    def data(self, function: str, *args: Any) -> str:
        kinds = [_kind(p) for p in self.abi[function]["inputs"]]
        return "0x" + (keccak(f"{function}({','.join(kinds)})".encode())[:4] + encode(kinds, args)).hex()

    def ask(self, function: str, *args: Any, block: int | str = "latest") -> tuple[Any, ...]:
        call = {"from": SENDER, "to": self.address, "data": self.data(function, *args)}
        answer = self.rpc("eth_call", call, hex(block) if isinstance(block, int) else block)
        kinds = [_kind(p) for p in self.abi[function]["outputs"]]
        return tuple(decode(kinds, bytes.fromhex(answer[2:])))

    def place(self, price: int, age: int = 0) -> None:
        given = (LLTV, price, 10 * E18, 20_000 * E18 * 10**6, 10**6 * E18, 10**12 * E18, 3 * 10**9, age, 0)
        self.send(self.address, self.data("place", given, WHO))

    @property
    def market(self) -> str:
        return "0x" + self.ask("idOf", LLTV)[0].hex()


@pytest.fixture
def morpho(devnet: Status) -> Iterator[Morpho]:
    made = Morpho(devnet.cheat_urls[1])
    yield made
    made.rpc.close()


async def test_a_position_has_the_contracts_debt_and_verdict(morpho: Morpho) -> None:
    verdicts = set()
    async with aiohttp.ClientSession() as session:
        gate = Gateway(1, [Rpc(morpho.url, session)])
        for price, age in ((3_000, 0), (2_400, 86_400), (2_340, 40 * 86_400), (2_300, 1)):
            morpho.place(price * 10**36, age)
            found = await read_position(gate, Address(morpho.address), morpho.market, Address(WHO))
            account = morpho_account(found, 1)
            debt, healthy = morpho.ask("look", LLTV, WHO, block=found.block.number)
            health = MODEL.health(account, found.block.timestamp)
            assert debt_raw(account, found.block.timestamp) == debt == health.debt_value_raw
            assert (health.state is not State.LIQUIDATABLE) is healthy
            verdicts.add(healthy)
        with pytest.raises(Retry, match="is no market"):
            await read_position(gate, Address(morpho.address), "0x" + "00" * 32, Address(WHO))
    assert verdicts == {True, False}


def test_the_settings_markets_stand_beside_the_wallets_other_accounts(
    devnet: Status, morpho: Morpho, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    morpho.place(2_400 * 10**36)
    path = tmp_path / "f.toml"
    assert run(["init", "--watch", WHO, "--rpc", devnet.urls[1], "--out", str(path)]) == 0
    nobody = "0x" + "77" * 20
    text = path.read_text()
    named = f'[[chains]]\nmorpho = "{morpho.address}"\nmorpho_markets = ["{morpho.market}"]\ncomets = ["{nobody}"]\n'
    path.write_text(text.replace("[[chains]]\n", named, 1))
    capsys.readouterr()
    assert run(["--settings", str(path), "health", "--json"]) == 0
    accounts = {a["model"]: a for a in json.loads(capsys.readouterr().out)["accounts"]}
    # 20,000 owed, 24,000·0.86 = 20,640 covers it.
    assert (
        accounts["morpho_blue"]["state"] == "AT_RISK"
        and accounts["morpho_blue"]["cheapest_rescue"]["do"] == "repay"
    )
    assert accounts["morpho_blue"]["health_1e18"].startswith("1032") or accounts["morpho_blue"][
        "health_1e18"
    ].startswith("1031")
    # An address that is no market is not left out: it is UNKNOWN.
    assert (
        accounts["compound_v3"]["state"] == "UNKNOWN" and "did not answer" in accounts["compound_v3"]["why"]
    )
    assert run(["--settings", str(path), "health"]) == 0
    shown = capsys.readouterr().out
    assert (
        "morpho_blue" in shown
        and "cheapest fix    repay" in shown
        and "UNKNOWN, it may have fallen already" in shown
    )
