"""Values of a complete, valid settings file, as plain data: tests change one thing in a copy."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

from agent.app import template
from agent.app.settings import Settings, parse

WETH, USDC = "0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2", "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"
BASE_WETH, BASE_USDC = (
    "0x4200000000000000000000000000000000000006",
    "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913",
)
SAFE, OWNER_A, OWNER_B, SENDER = (f"0x{digit * 40}" for digit in "1234")
POOL = "0x88e6A0c2dDD26FEEb64F039a2c41296FcB3f5640"

VALUES: dict[str, Any] = {
    "environment": "devnet",
    "live": True,
    "wallet": {
        "address": SAFE,
        "threshold": 2,
        "owners": [
            {"address": OWNER_A, "label": "laptop", "keystore": "keys/a.json", "password": "env:PASSWORD_A"},
            {"address": OWNER_B, "label": 'the "blue" one'},
        ],
        "sender": {"address": SENDER, "keystore": "keys/sender.json", "password": "file:~/sender.pass"},
    },
    "chains": [
        {
            "name": "ethereum",
            "chain_id": 1,
            "rpc": ["http://127.0.0.1:8545", "env:MAINNET_RPC_URL"],
            "protection": "PRIVATE",
            "relays": [{"name": "flashbots", "url": "http://127.0.0.1:8555"}],
            "pools": [{"kind": "uniswap_v3", "address": POOL}],
        },
        {
            "name": "base",
            "chain_id": 8453,
            "rpc": ["http://127.0.0.1:8546"],
            "protection": "PUBLIC",
            "finality": "safe",
        },
    ],
    "venues": [
        {
            "name": "paper",
            "module": "binance_spot",
            "base_url": "http://127.0.0.1:9000",
            "ws_url": "ws://127.0.0.1:9000/ws",
            "api_key": "keyring:fairlead/paper",
            "api_secret": "credential:paper",
            "counterparty_cap_usd": "100000",
            "symbols": ["ETHUSDC"],
        }
    ],
    "assets": {
        "WETH": [f"eip155:1/erc20:{WETH}", f"eip155:8453/erc20:{BASE_WETH}"],
        "USDC": [f"eip155:1/erc20:{USDC}", f"eip155:8453/erc20:{BASE_USDC}", "cex:paper/USDC"],
        "ETH": ["cex:paper/ETH", "eip155:1/slip44:60"],
    },
    "equivalents": {"ETH": ["ETH", "WETH"]},
    "limits": {
        "per_order_usd": "250000.50",
        "per_day_usd": "1000000",
        "allow_assets": ["ETH", "USDC"],
        "allow_venues": ["ethereum", "base", "paper"],
        "price_collar_bps": 150,
        "min_gas_reserve": {"ethereum": "0.05", "base": "0.001"},
    },
    "oracles": {
        "ETH": [
            {
                "kind": "chainlink",
                "chain": "ethereum",
                "address": "0x5f4eC3Df9cbd43714FE2740f5E3616155c5b8419",
            },
            {"kind": "chainlink", "chain": "base", "address": "0x71041dddad3595F9CEd3DcCFBe3D1F4b0a16Bb70"},
        ]
    },
    "journal": {"emergency_path": "second/emergency.bin"},
}


def values(**changes: Any) -> dict[str, Any]:
    """A copy; `wallet__threshold=3` changes one value below a table."""
    copy = deepcopy(VALUES)
    for path, value in changes.items():
        *tables, name = path.split("__")
        table = copy
        for step in tables:
            table = table.setdefault(step, {})
        table[name] = value
    return copy


def parsed_with_jobs(*jobs: dict[str, Any]) -> Settings:
    """The settings with these jobs, read as a file is. Raises what reading it raises."""
    path = Path("/nowhere/fairlead.toml")
    text = template.render(values(), path)
    for job in jobs:
        text += "\n[[jobs]]\n" + "".join(f"{name} = {template.toml(value)}\n" for name, value in job.items())
    return parse(text, path).settings
