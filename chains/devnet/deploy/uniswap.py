"""Uniswap V2, V3 and the Universal Router."""

from __future__ import annotations

import rlp
from eth_utils.crypto import keccak

from chains.devnet.addresses import PERMIT2
from chains.devnet.artifacts import artifact
from chains.devnet.builder import DEPLOYER, Builder
from chains.errors import Halt

V2_DEPLOYER = "0x9C33eaCc2F50E39940D3AfaF2c7B8246B681A374"
V3_DEPLOYER = "0x6C9FC64A53c1b71FB3f9Af64d1ae3A4931A5f4E9"
NFT_DESCRIPTOR = "0x42B24A95702b9986e82d421cC3568932790A48Ec"
POSITION_DESCRIPTOR = "0x91ae842A5Ffd8d12023116943e72A606179294f3"
V2_INIT_CODE_HASH = bytes.fromhex("96e8ac4277198ff8b6f785478aa9a39f403cb768dd02cbee326c3e7da348845f")
V3_INIT_CODE_HASH = bytes.fromhex("e34f199b19b2b4f47f68442619d555527d244f78a3297ea89325f843f87b8b54")
NONCE = "the package's build, from the real deployer at the real nonce"
ETCHED = "the package's build, its constructor run at the real address"


def deploy(b: Builder) -> None:
    for name, want in (("UniswapV2Pair", V2_INIT_CODE_HASH), ("UniswapV3Pool", V3_INIT_CODE_HASH)):
        if keccak(bytes.fromhex(artifact(name).bytecode)) != want:
            raise Halt("DEVNET_BUILD", f"{name}'s init code is not the one deployed on mainnet")
    _v2(b)
    _v3(b)


def _v2(b: Builder) -> None:
    at = b.chain.uniswap
    factory, router = artifact("UniswapV2Factory"), artifact("UniswapV2Router02")
    _place(b, "UniswapV2Factory", factory.creation(DEPLOYER), at.v2_factory, V2_DEPLOYER, 0)
    _place(b, "UniswapV2Router02", router.creation(at.v2_factory, b.chain.weth), at.v2_router, V2_DEPLOYER, 3)


def _v3(b: Builder) -> None:
    at, weth = b.chain.uniswap, b.chain.weth
    _place(b, "UniswapV3Factory", artifact("UniswapV3Factory").creation(), at.v3_factory, V3_DEPLOYER, 0)
    # Governance added the 0.01 % tier on every chain; here the factory's owner is whoever placed it.
    factory, owner = (
        artifact("UniswapV3Factory"),
        b.read(artifact("UniswapV3Factory"), at.v3_factory, "owner"),
    )
    b.do(factory, at.v3_factory, "enableFeeAmount", 100, 1, sender=owner)
    if at.v3_router:
        router = artifact("SwapRouter").creation(at.v3_factory, weth)
        _place(b, "SwapRouter", router, at.v3_router, V3_DEPLOYER, 4)
    _place(b, "NFTDescriptor", artifact("NFTDescriptor").creation(), NFT_DESCRIPTOR, V3_DEPLOYER, 5)
    label = b"ETH".ljust(32, b"\0")
    descriptor = artifact("NonfungibleTokenPositionDescriptor").creation(
        weth, label, libraries={"NFTDescriptor": NFT_DESCRIPTOR}
    )
    _place(b, "NonfungibleTokenPositionDescriptor", descriptor, POSITION_DESCRIPTOR, V3_DEPLOYER, 6)
    npm = artifact("NonfungiblePositionManager").creation(at.v3_factory, weth, POSITION_DESCRIPTOR)
    _place(b, "NonfungiblePositionManager", npm, at.v3_npm, V3_DEPLOYER, 8)
    _place(b, "QuoterV2", artifact("QuoterV2").creation(at.v3_factory, weth), at.quoter_v2, V3_DEPLOYER, 13)
    router02 = artifact("SwapRouter02").creation(at.v2_factory, at.v3_factory, at.v3_npm, weth)
    _place(b, "SwapRouter02", router02, at.router02, V3_DEPLOYER, 14)
    b.etch(artifact("TickLens").creation(), at.tick_lens)
    b.record("TickLens", at.tick_lens, "genuine-build", ETCHED)


def deploy_universal_router(b: Builder) -> None:
    at = b.chain.uniswap
    bridge = "0x" + "0" * 40  # no Across here: its command reverts
    wiring = (
        *(PERMIT2, b.chain.weth, at.v2_factory, at.v3_factory, V2_INIT_CODE_HASH, V3_INIT_CODE_HASH),
        *(at.v4_pool_manager, at.v3_npm, at.v4_position_manager, bridge),
    )
    b.etch(artifact("UniversalRouter").creation(wiring), at.universal_router)
    b.record(
        "UniversalRouter",
        at.universal_router,
        "genuine-build",
        "2.1.0 of the package at the real router's address",
    )


def _place(b: Builder, name: str, creation: bytes, address: str, deployer: str, nonce: int) -> None:
    """By the real nonce where that gives the address (chain 1 and its twins), else etched."""
    created = "0x" + keccak(rlp.encode([bytes.fromhex(deployer[2:]), nonce]))[12:].hex()
    if created == address.lower():
        b.at_nonce(creation, deployer, nonce, address)
        b.record(name, address, "genuine-build", NONCE)
    else:
        b.etch(creation, address)
        b.record(name, address, "genuine-build", ETCHED)
