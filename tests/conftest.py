pytest_plugins = [
    "devnet_fixture",
    "home_fixture",
    "trading_home",
    "bundler_fixture",
    "agent_home",
    "account_home",
    "bridge_home",
]
