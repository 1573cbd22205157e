"""From an address and an RPC to settings, positions, health and a doctor's report: watch-only, against a devnet."""

from __future__ import annotations

import json
import time
import tomllib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from agent.app.cli import run
from chains.devnet.addresses import AAVE, CHAINS, PERMIT2
from chains.devnet.artifacts import artifact
from chains.devnet.funding import create_safe, give_eth, give_token, set_feed_price
from chains.devnet.jsonrpc import Rpc
from chains.devnet.service import Status

pytestmark = pytest.mark.devnet
OWNERS = [f"0x{c * 40}" for c in "abc"]
ETH, DOLLAR = 10**18, 10**6
CHAIN = CHAINS[1]


class Wallet:
    """A 2-of-3 Safe on chains 1 and 8453 with a history: a module, approvals, a loan."""

    def __init__(self, status: Status, folder: Path) -> None:
        self.status, self.folder = status, folder
        self.address = create_safe(status.cheat_urls[1], OWNERS, 2, 77)
        assert create_safe(status.cheat_urls[8453], OWNERS, 2, 77) == self.address
        self.rpc = Rpc(status.cheat_urls[1])
        give_eth(status.cheat_urls[1], self.address, 3 * ETH)
        give_token(status.cheat_urls[1], CHAIN.weth, self.address, 12 * ETH)
        give_token(status.cheat_urls[8453], CHAINS[8453].usdc, self.address, 900 * DOLLAR)
        self.settings = folder / "fairlead.toml"

    def send(self, contract: str, to: str, function: str, *args: object) -> None:
        self.rpc("anvil_impersonateAccount", self.address)
        data = "0x" + artifact(contract).call(function, *args).hex()
        tx = self.rpc("eth_sendTransaction", {"from": self.address, "to": to, "data": data, "gas": hex(2_000_000), "gasPrice": hex(10**10)})  # fmt: skip
        for _ in range(300):
            receipt = self.rpc("eth_getTransactionReceipt", tx)
            if receipt is not None:
                assert receipt["status"] == "0x1", function
                return
            time.sleep(0.01)
        raise AssertionError(f"{function} was not mined")

    def history(self) -> None:
        self.send("Safe", self.address, "enableModule", "0x" + "d" * 40)
        self.send("WETH9", CHAIN.weth, "approve", AAVE["Pool"], 10 * ETH)
        self.send("AavePool", AAVE["Pool"], "supply", CHAIN.weth, 8 * ETH, self.address, 0)
        self.send("AavePool", AAVE["Pool"], "borrow", CHAIN.usdc, 5_000 * DOLLAR, 2, 0, self.address)
        self.send("FiatTokenV2_2", CHAIN.usdc, "approve", PERMIT2, 2**256 - 1)
        end = int(self.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16) + 10**6
        self.send("Permit2", PERMIT2, "approve", CHAIN.usdc, CHAIN.uniswap.universal_router, 7 * DOLLAR, end)
        self.send("Permit2", PERMIT2, "approve", CHAIN.weth, CHAIN.uniswap.router02, 7, end - 2 * 10**6)

    def init(self, *more: str) -> int:
        secret = self.folder / "base-rpc"
        secret.write_text(self.status.urls[8453] + "\n")
        secret.chmod(0o600)
        words = [
            "init",
            "--watch",
            self.address,
            "--rpc",
            self.status.urls[1],
            "--rpc",
            f"base=file:{secret}",
        ]
        return run([*words, "--out", str(self.settings), *more])

    def fairlead(self, *words: str) -> int:
        return run(["--settings", str(self.settings), *words])


@pytest.fixture
def wallet(devnet: Status, tmp_path: Path) -> Iterator[Wallet]:
    made = Wallet(devnet, tmp_path)
    yield made
    made.rpc.close()


def out(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_init_finds_what_stands_there_and_writes_settings_that_load(
    wallet: Wallet, capsys: pytest.CaptureFixture[str]
) -> None:
    wallet.history()
    assert wallet.init("--json") == 0
    told = out(capsys)
    assert (told["wallet"], told["environment"]) == (wallet.address, "devnet")
    ethereum, base = told["chains"]
    assert (ethereum["chain"], base["chain"]) == ("eip155:1", "eip155:8453")
    safe = ethereum["safe"]
    assert (ethereum["kind"], safe["threshold"], safe["version"]) == ("SAFE", 2, "1.4.1")
    assert [o.lower() for o in safe["owners"]] == OWNERS and [m.lower() for m in safe["modules"]] == [
        "0x" + "d" * 40
    ]
    balances = {b["asset"].rpartition(":")[2]: b["balance_raw"] for b in ethereum["balances"]}
    assert balances[CHAIN.weth] == str(4 * ETH) and balances[CHAIN.usdc] == str(5_000 * DOLLAR)
    granted = {
        (a["spender_name"], a["via"]): (a["amount_raw"], a["unlimited"]) for a in ethereum["approvals"]
    }
    # The WETH grant through Permit2 has expired and is none any more.
    assert granted == {
        ("aave_v3_pool", "token"): (str(2 * ETH), False),
        ("permit2", "token"): (str(2**256 - 1), True),
        ("universal_router", "permit2"): (str(7 * DOLLAR), False),
    }
    assert ethereum["lending"]["state"] == "SAFE" and ethereum["lending"]["debt_value_raw"].startswith("5000")
    assert any("module" in w for w in told["warnings"]) and any(
        "without limit" in w for w in told["warnings"]
    )

    text = wallet.settings.read_text()
    written = tomllib.loads(text)
    assert wallet.status.urls[8453] not in text and written["chains"][1]["rpc"][0].startswith("file:")
    assert (written["environment"], written["wallet"]["kind"], written["wallet"]["threshold"]) == (
        "devnet",
        "safe",
        2,
    )
    assert "keystore =" not in "".join(line for line in text.splitlines() if not line.startswith("#"))
    assert wallet.fairlead("config", "check") == 0
    assert "watch-only" in capsys.readouterr().out

    # The same answers and the same singleton behind another proxy: whoever looks is told, before anything is sent there.
    assert not any("proxy" in w for w in told["warnings"])
    with Rpc(wallet.status.cheat_urls[8453]) as rpc:
        rpc("anvil_setCode", wallet.address, rpc("eth_getCode", wallet.address, "latest")[:-2] + "00")
    assert wallet.init("--json", "--force") == 0
    (strange,) = (w for w in out(capsys)["warnings"] if "proxy" in w)
    assert strange.startswith("base: ") and "need not do what its singleton does" in strange
    assert wallet.fairlead("doctor", "--json") == 3
    failed = [c for c in out(capsys)["checks"] if c["check"] == "wallet base" and c["level"] == "fail"]
    assert any("need not do what its singleton does" in c["message"] for c in failed)


def test_init_replaces_nothing_unasked(wallet: Wallet, capsys: pytest.CaptureFixture[str]) -> None:
    wallet.settings.write_text("mine")
    assert wallet.init() == 2 and "SETTINGS_EXISTS" in capsys.readouterr().err
    assert wallet.settings.read_text() == "mine"
    assert wallet.init("--force") == 0 and "wallet" in tomllib.loads(wallet.settings.read_text())
    shown = capsys.readouterr().out
    assert shown.startswith(f"devnet · {wallet.address} · ethereum ") and "2 of 3" in shown


def test_positions_are_worth_what_two_feeds_say(wallet: Wallet, capsys: pytest.CaptureFixture[str]) -> None:
    wallet.history()
    assert wallet.init() == 0
    capsys.readouterr()
    assert wallet.fairlead("positions", "--json") == 0
    told = out(capsys)
    rows = {(b["where"], b["symbol"]): b for b in told["balances"]}
    assert rows["ethereum", "WETH"]["value_usd"] == "12000" and rows["base", "USDC"]["value_usd"] == "900"
    assert 8 <= Decimal(rows["aave on ethereum, supplied", "WETH"]["qty"]) < Decimal("8.001")
    assert rows["aave on ethereum, owed", "USDC"]["value_usd"].startswith("-5000")
    assert told["unpriced"] == [] and told["positions"] == [] and told["journal"] is False
    assert all(len(sources) == 2 for sources in told["sources"].values())
    assert wallet.fairlead("positions") == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"devnet · {wallet.address} · ethereum ") and " total " in shown


def test_a_price_of_one_source_alone_is_unknown(wallet: Wallet, capsys: pytest.CaptureFixture[str]) -> None:
    assert wallet.init() == 0
    capsys.readouterr()
    (wallet.folder / "base-rpc").write_text("http://127.0.0.1:9/a-key")
    assert wallet.fairlead("positions", "--json") == 0
    told = out(capsys)
    assert told["unpriced"] == ["ETH", "WETH"] and told["total_usd"] == "0"
    assert all(b["px_usd"] is None and b["value_usd"] is None for b in told["balances"])
    assert "base" in told["unreachable"] and "a-key" not in json.dumps(told)


def test_health_shows_the_contracts_own_answer_beside_ours(
    wallet: Wallet, capsys: pytest.CaptureFixture[str]
) -> None:
    wallet.history()
    assert wallet.init() == 0
    capsys.readouterr()
    assert wallet.fairlead("health", "--json") == 0
    (account,) = out(capsys)["accounts"]
    assert account["equal"] is True and account["health_1e18"] == account["contract"]["health_1e18"]
    sides = {p["asset"].rpartition(":")[2]: p["side"] for p in account["liquidation_px"]}
    assert sides == {CHAIN.weth: "below", CHAIN.usdc: "above"}
    assert wallet.fairlead("health") == 0
    assert "equal to the last digit" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("revision", "says"),
    [(99, "revision 99, and no model"), (10, "another version than it says")],
    ids=["of-no-known-version", "of-another-than-it-says"],
)
def test_a_pool_that_is_not_what_a_model_computes_is_unknown(
    wallet: Wallet, capsys: pytest.CaptureFixture[str], revision: int, says: str
) -> None:
    """The same storage under code that answers another POOL_REVISION: no guess is made, and a false one is found out."""
    wallet.history()
    assert wallet.init() == 0
    capsys.readouterr()
    pool = AAVE["Pool"]
    code = wallet.rpc("eth_getCode", pool, "latest")
    behind = "0x" + "ee" * 20
    wallet.rpc("anvil_setCode", behind, code)
    # Answers POOL_REVISION() and hands everything else to the genuine proxy's code.
    wallet.rpc("anvil_setCode", pool, revision_before(behind, revision))
    # A year of interest: the series of later versions differs from the binomial of this one.
    wallet.rpc("evm_increaseTime", 365 * 86_400)
    wallet.rpc("evm_mine")
    assert wallet.fairlead("health", "--json") == 0
    (account,) = out(capsys)["accounts"]
    assert (account["state"], account["health_1e18"], account["liquidation_px"]) == ("UNKNOWN", None, [])
    assert says in account["why"] and account["contract"]["health_1e18"] is not None
    assert wallet.fairlead("stress", "--shock", "ETH=-1%", "--json") == 0
    assert out(capsys)["unknown"] == ["aave_v3:eip155:1"]


def test_news_of_health_is_alerted_once_with_the_journals_head(
    wallet: Wallet, capsys: pytest.CaptureFixture[str]
) -> None:
    wallet.history()
    assert wallet.init() == 0
    alerts = wallet.folder / "alerts.jsonl"
    with wallet.settings.open("a") as settings:
        settings.write(f'\n[alerts]\nfile = "{alerts}"\n')
    capsys.readouterr()
    told = []
    # 8 WETH at 82.5 % against 5,000: at risk below 833.33, gone below 757.58.
    for price in (3_000, 800, 800, 700, 700, 3_000):
        set_feed_price(wallet.status.cheat_urls[1], "ETH", price * 10**8)
        assert wallet.fairlead("health", "--alert", "--json") == 0
        told.append(out(capsys)["accounts"][0]["state"])
    assert told == ["SAFE", "AT_RISK", "AT_RISK", "LIQUIDATABLE", "LIQUIDATABLE", "SAFE"]
    lines = [json.loads(line) for line in alerts.read_text().splitlines()]
    assert [line["code"] for line in lines] == ["HEALTH_AT_RISK", "HEALTH_LIQUIDATABLE", "HEALTH_SAFE"]
    assert all(set(line["head"]) == {"seq", "hash"} and line["wallet"] == wallet.address for line in lines)
    assert "makes it safe" in lines[0]["message"]


def test_the_wallets_health_ends_with_what_falls_first(
    wallet: Wallet, capsys: pytest.CaptureFixture[str]
) -> None:
    wallet.history()
    assert wallet.init() == 0
    set_feed_price(wallet.status.cheat_urls[1], "ETH", 800 * 10**8)
    capsys.readouterr()
    assert wallet.fairlead("health") == 0
    shown = capsys.readouterr().out
    # 5,000 dollar coins over 6.6 is about 757.58, five per cent below 800.
    assert "cheapest fix    repay" in shown and "age of data" in shown
    assert "falls first" in shown and "aave_v3:eip155:1: at -5." in shown
    assert wallet.fairlead("stress", "--shock", "ETH=-10%") == 0
    assert "liquidated aave_v3:eip155:1" in capsys.readouterr().out


def revision_before(target: str, revision: int) -> str:
    selector = artifact("AavePool").call("POOL_REVISION").hex()
    answer = f"60{revision:02x}" + "600052" + "6020" + "6000" + "f3"
    # calldataload(0) >> 224 == selector ? return it : delegatecall(target) and give back what it gave.
    head = "60003560e01c63" + selector + "14"
    rest = "366000600037" + "60006000" + "366000" + "73" + target[2:] + "5af4" + "3d6000" + "6000" + "3e"
    jump_bad = "3d6000fd"
    body = head + "60{ok:02x}57" + rest + "60{good:02x}57" + jump_bad + "5b3d6000f3" + "5b" + answer
    sized = body.format(ok=0, good=0)
    length = len(sized) // 2
    ok_at = length - len(answer) // 2 - 1
    good_at = ok_at - len("5b3d6000f3") // 2
    return "0x" + body.format(ok=ok_at, good=good_at)


def test_the_doctor_works_watch_only(wallet: Wallet, capsys: pytest.CaptureFixture[str]) -> None:
    assert wallet.init() == 0
    capsys.readouterr()
    assert wallet.fairlead("doctor", "--json") == 0
    told = out(capsys)
    levels = {c["check"]: c["level"] for c in told["checks"]}
    assert told["ok"] is True and "fail" not in levels.values()
    assert (levels["rpc ethereum"], levels["wallet base"], levels["price ETH"]) == ("ok", "ok", "ok")
    assert (levels["signer"], levels["gas base"], levels["journal"]) == ("skip", "skip", "skip")


def test_the_doctor_names_what_is_wrong_and_what_to_do(
    wallet: Wallet, capsys: pytest.CaptureFixture[str]
) -> None:
    wallet.history()
    assert wallet.init() == 0
    wallet.settings.write_text(wallet.settings.read_text().replace("threshold = 2", "threshold = 1", 1))
    capsys.readouterr()
    assert wallet.fairlead("doctor", "--json") == 3
    failed = {c["check"]: c for c in out(capsys)["checks"] if c["level"] == "fail"}
    assert set(failed) == {"wallet ethereum", "wallet base"}
    assert (
        "wants 2 signatures, the settings say 1" in failed["wallet base"]["message"]
        and failed["wallet base"]["remedy"]
    )

    (wallet.folder / "base-rpc").write_text("http://127.0.0.1:9/a-key")
    assert wallet.fairlead("doctor", "--json") == 4
    found = out(capsys)["checks"]
    levels = {(c["check"], c["level"]) for c in found}
    assert {
        ("rpc base", "fail"),
        ("wallet base", "skip"),
        ("price ETH", "fail"),
        ("rpc ethereum", "ok"),
    } <= levels
    assert "a-key" not in json.dumps(found)

    (wallet.folder / "base-rpc").write_text(wallet.status.urls[1])
    assert wallet.fairlead("doctor") in (3, 6)
    shown = capsys.readouterr().out
    assert "is chain 1, the settings say 8453" in shown and "→ correct the rpc of base" in shown


@pytest.mark.parametrize(
    ("words", "status", "code"),
    [
        (["--watch", "0xabc", "--rpc", "{1}"], 2, "BAD_ADDRESS"),
        (["--watch", "0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756CC2", "--rpc", "{1}"], 2, "BAD_CHECKSUM"),
        (["--watch", OWNERS[0], "--rpc", "base={1}"], 2, "WRONG_CHAIN_ID"),
        (["--watch", OWNERS[0], "--rpc", "http://127.0.0.1:9/a-key"], 4, "NO_CONNECTION"),
        (["--watch", OWNERS[0], "--rpc", "nonsense"], 2, "BAD_RPC_URL"),
        (["--watch", OWNERS[0], "--rpc", "env:FAIRLEAD_NO_SUCH_VARIABLE"], 2, "SECRET_UNAVAILABLE"),
        (["--watch", OWNERS[0]], 2, "NO_RPC"),
        (["--rpc", "{1}"], 2, "NO_WALLET"),
    ],
)
def test_what_is_typed_wrong_is_told(
    devnet: Status,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    status: int,
    code: str,
) -> None:
    typed = [word.replace("{1}", devnet.urls[1]) for word in words]
    assert run(["init", *typed, "--out", str(tmp_path / "f.toml"), "--json"]) == status
    error = out(capsys)["error"]
    assert error["code"] == code and "a-key" not in json.dumps(error)
    assert list(tmp_path.iterdir()) == []


def test_an_ordinary_account_on_one_chain(
    devnet: Status, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    give_eth(devnet.cheat_urls[1], OWNERS[0], 2 * ETH)
    path = tmp_path / "f.toml"
    assert run(["init", "--watch", OWNERS[0], "--rpc", devnet.urls[1], "--out", str(path)]) == 0
    written = tomllib.loads(path.read_text())
    assert written["wallet"]["kind"] == "eoa" and "oracles" not in written
    assert "two" in capsys.readouterr().out
    assert run(["--settings", str(path), "positions"]) == 0
    assert "UNKNOWN" in capsys.readouterr().out
    assert run(["--settings", str(path), "doctor"]) == 0
