"""Tokens, Permit2, Multicall3 and price feeds."""

from __future__ import annotations

from chains.devnet.addresses import MULTICALL3, PERMIT2
from chains.devnet.artifacts import artifact, source_hex
from chains.devnet.builder import DEPLOYER, Builder

WETH_DEPLOYER, WETH_NONCE = "0x4F26FfBe5F04ED43630fdC30A87638d53D0b0876", 446
# The admin of Circle's proxy may call nothing else on it, so it is an account of its own.
USDC_ADMIN = "0xFA171EAd00000000000000000000000000000002"
FEED_DECIMALS = 8
DEMO_FEEDS_1E8 = {"ETH": 3000 * 10**8, "USDC": 10**8}


def deploy(b: Builder) -> None:
    _weth(b)
    _usdc(b)
    for symbol, (address, decimals) in b.chain.mocks.items():
        mock_token(b, symbol, address, decimals)
    b.set_code(PERMIT2, source_hex("DeployPermit2.sol", "bytecode ="))
    b.record(
        "Permit2",
        PERMIT2,
        "exact",
        "runtime code published by Uniswap; computes the domain of any chain id itself",
    )
    b.set_code(MULTICALL3, source_hex("Preinstalls.sol", "MultiCall3Code ="))
    b.record("Multicall3", MULTICALL3, "exact", "runtime code published by OP Labs as a preinstall")
    feed = artifact("MockV3Aggregator")
    for symbol, address in b.chain.feeds.items():
        b.etch(feed.creation(FEED_DECIMALS, DEMO_FEEDS_1E8[symbol]), address)
        b.record(
            f"{symbol}/USD feed",
            address,
            "mock",
            "Chainlink's own MockV3Aggregator at the real feed's address",
        )


def _weth(b: Builder) -> None:
    creation = artifact("WETH9").creation()
    if b.chain.id == 1:
        b.at_nonce(creation, WETH_DEPLOYER, WETH_NONCE, b.chain.weth)
        why = "canonical-weth's packaged build, from the real deployer at the real nonce"
    else:
        b.etch(creation, b.chain.weth)
        why = "canonical-weth's packaged build; the chain's own has a bridge's mint and burn beside it"
    b.record("WETH", b.chain.weth, "genuine-build", why)


def _usdc(b: Builder) -> None:
    token, proxy = artifact("FiatTokenV2_2"), artifact("FiatTokenProxy")
    checker = b.deploy(artifact("SignatureChecker").creation())
    implementation = b.deploy(token.creation(libraries={"SignatureChecker": checker}))
    b.etch(proxy.creation(implementation), b.chain.usdc)
    b.do(proxy, b.chain.usdc, "changeAdmin", USDC_ADMIN)
    b.do(
        token,
        b.chain.usdc,
        "initialize",
        "USD Coin",
        "USDC",
        "USD",
        6,
        DEPLOYER,
        DEPLOYER,
        DEPLOYER,
        DEPLOYER,
    )
    b.do(token, b.chain.usdc, "initializeV2", "USD Coin")
    b.do(token, b.chain.usdc, "initializeV2_1", DEPLOYER)
    b.do(token, b.chain.usdc, "initializeV2_2", [], "USDC")
    b.do(token, b.chain.usdc, "configureMinter", DEPLOYER, 2**255)
    b.record(
        "USDC",
        b.chain.usdc,
        "genuine-build",
        "Circle's FiatToken V2.2 behind Circle's proxy, as Stargate builds it",
    )
    b.record("USDC implementation", implementation, "genuine-build", "FiatTokenV2_2")


def mock_token(b: Builder, symbol: str, address: str, decimals: int) -> None:
    """An ERC-20 with open minting at a real token's address; balances are in storage slot 3."""
    b.etch(artifact("MockERC20").creation(symbol, symbol, decimals), address)
    b.record(
        symbol,
        address,
        "mock",
        "an ERC-20 with the token's address and decimals; its genuine code is in no package",
    )


def mint(b: Builder, token: str, to: str, amount_raw: int) -> None:
    """Give `to` tokens the way the token itself makes them: deposit, minter or open mint."""
    if token == b.chain.weth:
        weth = artifact("WETH9")
        b.do(weth, token, "deposit", value=amount_raw)
        b.do(weth, token, "transfer", to, amount_raw)
    elif token == b.chain.usdc:
        b.do(artifact("FiatTokenV2_2"), token, "mint", to, amount_raw)
    else:
        b.do(artifact("MockERC20"), token, "mint", to, amount_raw)
