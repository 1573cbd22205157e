"""Across' SpokePools at their mainnet addresses behind the proxies they have there, with routes for WETH and USDC between the chains.

Not part of every devnet: `deploy` is called where a bridge is wanted. On an L2 the admin speaks through the chain's messenger, which no
devnet has; a stand-in of six instructions at its address says that the admin sent the message.
"""

from __future__ import annotations

from collections.abc import Sequence

from chains.bridges.across import SPOKE_POOLS
from chains.devnet.addresses import CHAINS
from chains.devnet.artifacts import artifact
from chains.devnet.builder import DEPLOYER, Builder
from chains.devnet.jsonrpc import Rpc

QUOTE_BUFFER_S, DEADLINE_BUFFER_S = 3_600, 21_600
MESSENGER = "0x4200000000000000000000000000000000000007"
NAMES = {1: "Ethereum_SpokePool", 8453: "Base_SpokePool"}
_ZERO = "0x" + "0" * 40


def deploy(b: Builder, chains: Sequence[int] = (1, 8453)) -> str:
    """The chain's SpokePool, open for the others of `chains`."""
    chain, address = b.chain.id, SPOKE_POOLS[b.chain.id]
    code = artifact(NAMES[chain])
    buffers = (QUOTE_BUFFER_S, DEADLINE_BUFFER_S)
    if chain == 1:
        creation, begin = code.creation(b.chain.weth, *buffers), code.call("initialize", 0, DEPLOYER)
    else:
        creation = code.creation(b.chain.weth, *buffers, b.chain.usdc, _ZERO)
        begin = code.call("initialize", 0, DEPLOYER, DEPLOYER)
        stand_in = "0x73" + DEPLOYER[2:] + "60005260206000f3"  # PUSH20 admin, MSTORE at 0, RETURN 32 bytes
        b.set_code(MESSENGER, stand_in)
        b.record("OP messenger", MESSENGER, "mock", "says of every message that the admin sent it")
    implementation = b.deploy(creation)
    b.etch(artifact("ERC1967Proxy").creation(implementation, begin), address)
    b.record(
        "Across SpokePool",
        address,
        "genuine-build",
        f"{NAMES[chain]} of the package behind OpenZeppelin's proxy",
    )
    for other in chains:
        if other != chain:
            for token in (b.chain.weth, b.chain.usdc):
                b.do(code, address, "setEnableRoute", token, other, True, sender=admin(chain))
    return address


def ensure(rpc: Rpc, chain: int, chains: Sequence[int] = (1, 8453)) -> None:
    """`deploy` on a chain that is in use, at hardly more than its base fee; nothing where a SpokePool is."""
    if rpc("eth_getCode", SPOKE_POOLS[chain], "latest") == "0x":
        base = int(rpc("eth_getBlockByNumber", "latest", False)["baseFeePerGas"], 16)
        deploy(Builder(rpc, CHAINS[chain], base * 5 // 4 + 1), chains)


def admin(chain_id: int) -> str:
    """Who may open routes and post root bundles there."""
    return DEPLOYER if chain_id == 1 else MESSENGER


def token_there(chain_id: int, token: str, destination: int) -> str:
    """The same token on another chain of the devnet."""
    here, there = CHAINS[chain_id], CHAINS[destination]
    return {here.weth: there.weth, here.usdc: there.usdc}[token]
