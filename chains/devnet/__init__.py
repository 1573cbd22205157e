"""The local devnet: Anvil chains 1, 8453 and 42161 with genuine protocol contracts at their mainnet addresses.

    packages    pinned tools and protocol packages, fetched by the user's own npm into the cache
    deploy/     one file per protocol family; demo.py and demo_market.json fill the pools
    state       deployed once per version, dumped into the cache, loaded ever after
    service     up, status, down, up_fork; supervisor is the process keeper underneath
    funding     ETH, tokens, Safes and feed prices for demonstrations and tests
    market      a market/1 file instead of the demo market, in genuine pool code
    relay       the process in front of chain 1
    bundler     a process that takes ERC-4337 user operations for one chain
    cow_orderbook   a CoW order book and solver as a process: cow_orders and cow_book judge, cow_solver settles

Start reading at `service.up`. What is genuine and what is a mock stands in the manifest, contract by contract.
"""
