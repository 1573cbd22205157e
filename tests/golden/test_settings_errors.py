"""Each mistake in a settings file has its one clear message: the line, the path, what is wrong, and the remedy."""

from __future__ import annotations

from pathlib import Path

import pytest
from settings_values import OWNER_A, SAFE, WETH, values

from agent.app.settings import load, parse
from agent.app.template import render
from chains.errors import Usage

HERE = Path("/etc/fairlead.toml")
GOOD = """\
environment = "devnet"
[wallet]
address = "0x1111111111111111111111111111111111111111"
[[chains]]
name = "ethereum"
chain_id = 1
rpc = ["http://127.0.0.1:8545"]
"""


def said(text: str) -> list[str]:
    with pytest.raises(Usage) as error:
        parse(text, HERE)
    assert error.value.exit_status == 2
    return [line.strip() for line in error.value.message.splitlines()]


MISTAKES = [
    (
        '[[venues]]\nname = "mine"\nmodule = "krakken"\n',
        "line 10: venues[0].module: there is no venue module 'krakken'; did you mean 'kraken'?",
    ),
    ("[limit]\n", "line 8: limit: unknown key 'limit'; did you mean 'limits'?"),
    (
        '[limits]\nper_oder_usd = "5"\n',
        "line 9: limits.per_oder_usd: unknown key 'per_oder_usd'; did you mean 'per_order_usd'?",
    ),
    (
        "[limits]\nlive = true\n",
        "line 9: limits.live: unknown key 'live'; 'live' stands above the first [table]",
    ),
    (
        "[limits]\nthreshold = 2\n",
        "line 9: limits.threshold: unknown key 'threshold'; did you mean wallet.threshold?",
    ),
    (
        "[signer]\nxyzzy = 2\n",
        "line 9: signer.xyzzy: unknown key 'xyzzy'; [signer] knows socket, config, unattended",
    ),
    (
        "[limits]\nper_order_usd = 100\n",
        'line 9: limits.per_order_usd: money is written as a string, not as the int 100; write "100", in quotes',
    ),
    (
        "[limits]\nper_order_usd = 100.5\n",
        'line 9: limits.per_order_usd: money is written as a string, not as the float 100.5; write "100.5", in quotes',
    ),
    (
        '[limits]\nper_order_usd = "lots"\n',
        "line 9: limits.per_order_usd: 'lots' is not a decimal number; write it like \"2500.50\"",
    ),
    (
        '[limits]\nper_order_usd = "-1"\n',
        "line 9: limits.per_order_usd: '-1' is not an amount of money; it must be zero or more",
    ),
    (
        '[limits]\nper_order_usd = "NaN"\n',
        "line 9: limits.per_order_usd: 'NaN' is not an amount of money; it must be zero or more",
    ),
    ('[limits]\nper_day_usd = "0"\n', "line 9: limits.per_day_usd: must be greater than zero"),
    (
        '[limits]\nper_order_usd = "99999"\n',
        "line 9: limits.per_order_usd: 99999 is more than limits.per_day_usd (50000); no single order may exceed a day",
    ),
    (
        "[limits]\nmax_slippage_bps = 10001\n",
        "line 9: limits.max_slippage_bps: must be at most 10000, not 10001",
    ),
    (
        '[limits]\nmax_slippage_bps = "50"\n',
        "line 9: limits.max_slippage_bps: must be a whole number without quotes",
    ),
    (
        '[limits]\nallow_venues = ["etherium"]\n',
        "line 9: limits.allow_venues[0]: there is no chain or venue 'etherium'; did you mean 'ethereum'?",
    ),
    (
        '[limits.min_gas_reserve]\nbase = "1"\n',
        "line 9: limits.min_gas_reserve.base: there is no chain 'base'; known are ethereum",
    ),
    (
        f'[assets]\nWETH = ["eip155:1/erc20:{WETH[:-1]}3"]\n',
        f"line 9: assets.WETH[0]: {WETH[:-1]}3 has a wrong checksum: a digit was mistyped; copy it again from where you know it to be right",
    ),
    (
        '[assets]\nWETH = ["eip155:8453/slip44:60"]\n',
        "line 9: assets.WETH[0]: there is no chain 8453 in these settings; add its [[chains]] table, or drop the asset",
    ),
    (
        '[assets]\nETH = ["cex:papper/ETH"]\n[[venues]]\nname="paper"\nmodule="binance_spot"\n',
        "line 9: assets.ETH[0]: there is no venue 'papper' in these settings; did you mean 'paper'?",
    ),
    ('[equivalents]\nETH = ["WETH"]\n', "line 9: equivalents.ETH: there is no asset 'WETH'; known are none"),
    (
        '[[venues]]\nname = "paper"\nmodule = "binance_spot"\napi_secret = "hunter2"\n',
        "line 11: venues[0].api_secret: a secret is given by reference, never as itself; write one of env:NAME, file:PATH, credential:NAME, keyring:SERVICE/USER, keystore:PATH?REF or cmd:COMMAND",
    ),
    (
        '[[chains]]\nname = "base"\nchain_id = 1\nrpc = ["http://127.0.0.1:1"]\n',
        "line 4: chains: id 1 stands there 2 times; keep one",
    ),
    ('[[chains]]\nname = "base"\nrpc = []\n', "line 8: chains[1].chain_id: is missing; add chain_id = …"),
    (
        '[assets]\nETH = ["cex:p/ETH"]\n[oracles]\nETH = [{kind = "chainlink", chain = "ethereum", address = "'
        + SAFE
        + '"}]\n[[venues]]\nname = "p"\nmodule = "p"\n',
        "line 11: oracles.ETH: needs two independent sources: a price that only one confirms is unknown; add a second feed, or a venue's book",
    ),
]


@pytest.mark.parametrize(("addition", "message"), MISTAKES)
def test_one_mistake_one_message(addition: str, message: str) -> None:
    assert message in said(GOOD + addition)[1:]


def test_the_text_these_mistakes_were_added_to_is_right() -> None:
    assert parse(GOOD, HERE).settings.watch_only


def test_all_problems_are_told_at_once_in_the_order_of_the_file() -> None:
    text = (
        GOOD.replace('"devnet"', '"mainnet"').replace("chain_id = 1", "chain_id = 0")
        + "[limits]\nper_day_usd = 1\ncolour = 1\n"
    )
    lines = said(text)
    assert lines[0] == f"{HERE} has 4 problems"
    assert [line.split(":")[0] for line in lines[1:]] == ["line 1", "line 6", "line 9", "line 10"]
    assert "'mainnet' is not one of 'devnet', 'fork' or 'live'" in lines[1]


def test_a_secret_typed_in_the_wrong_place_is_never_repeated() -> None:
    secret = "4bd1f0c9a7e6"
    for text in (
        GOOD + f'[alerts]\nwebhook = "{secret}"\n',
        GOOD.replace("http://127.0.0.1:8545", secret),
        GOOD.replace("http://127.0.0.1:8545", f"https://me:{secret}@rpc.example/"),
        GOOD + f'[[venues]]\nname = "a"\nmodule = "a"\napi_key = ["{secret}"]\n',
    ):
        assert secret not in "\n".join(said(text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("environment = devnet\n", "is not TOML: Invalid value (at line 1, column 15)"),
        ("[limits]\n[limits]\n", "is not TOML: Cannot declare ('limits',) twice (at line 2, column 8)"),
        ("", "line 1: environment: is missing; add environment = …"),
        (
            GOOD.replace('["http://127.0.0.1:8545"]', '"http://127.0.0.1:8545"'),
            "chains[0].rpc: is one thing where a list is meant",
        ),
        (
            GOOD.replace("[[chains]]", "[chains]"),
            "chains: is one thing where a list is meant; write [[chains]] tables",
        ),
        (
            GOOD.replace("[wallet]\naddress", "wallet"),
            "wallet: is a value where a table is meant; write [wallet]",
        ),
    ],
)
def test_a_file_of_the_wrong_shape(text: str, message: str) -> None:
    assert message in "\n".join(said(text))


def test_what_the_live_environment_forbids() -> None:
    text = (
        render(values(), HERE)
        .replace('environment = "devnet"', 'environment = "live"')
        .replace("# unattended = false", "unattended = true")
        .replace("http://127.0.0.1:8546", "http://rpc.example")
    )
    problems = "\n".join(
        said(
            text.replace("threshold = 2", "threshold = 1").replace(
                "# none here: `fairlead config explain signer` tells its keys", "[signer]\nunattended = true"
            )
        )
    )
    assert "wallet.owners: passwords of 1 owners are at hand, and 1 signatures move everything" in problems
    assert "signer.unattended: the live environment does not sign without a person" in problems
    assert "chains[1].rpc[0]: is not encrypted on its way; use https:// or wss://" in problems


def test_a_chain_of_websockets_alone() -> None:
    broken = values()
    broken["chains"][1]["rpc"] = ["ws://127.0.0.1:1", "wss://x.example/v2/key"]
    with pytest.raises(Usage) as error:
        render(broken, HERE)
    assert (
        "chains[1].rpc: names WebSocket endpoints alone, and those only tell new heads; "
        "add an http:// or https:// URL, for calls" in error.value.message
    )


def test_a_private_chain_without_a_relay_and_an_owner_twice() -> None:
    broken = values(wallet__owners=[{"address": OWNER_A}, {"address": OWNER_A}])
    del broken["chains"][0]["relays"]
    with pytest.raises(Usage) as error:
        render(broken, HERE)
    assert "chains[0].relays: protection is PRIVATE and there is no relay" in error.value.message
    assert f"wallet.owners: {OWNER_A} stands there 2 times; keep one" in error.value.message


def test_no_file_a_folder_and_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b'note = "\xe9"\n')
    for path, code in (
        (tmp_path / "none", "SETTINGS_MISSING"),
        (tmp_path, "SETTINGS_MISSING"),
        (tmp_path / "latin", "SETTINGS_SYNTAX"),
    ):
        with pytest.raises(Usage) as error:
            load(path)
        assert error.value.code == code and str(path) in error.value.message and error.value.hint
