"""Approvals of every kind, permits signed with the agent's key, positions as tokens, and lending turned against its owner."""

from __future__ import annotations

from collections.abc import Callable

from agent.app.chaos.custody.attack import (
    FOREVER,
    MAX,
    NPM,
    Attack,
    data,
    direct,
    fixed,
    leveraged,
    named,
    role,
    tail,
    to_gate,
    to_safe,
    trade,
    words,
)  # fmt: skip
from agent.app.chaos.custody.world import (
    A_USDC,
    A_WETH,
    AGENT,
    AGENT_SECRET,
    DEBT_USDC,
    DEBT_WETH,
    ETH,
    POOL,
    THIEF,
    USDC,
    USDC_ONE,
    WETH,
    Gated,
)  # fmt: skip
from chains.devnet.addresses import BALANCER, CHAINS, PERMIT2, SAFE
from contracts.codec import encode
from contracts.hashing import keccak
from keys.curve import SigningKey
from keys.safe import SafeTx, safe_tx_hash

V4_POSITIONS = CHAINS[1].uniswap.v4_position_manager
COW = "0x9008D19f58AAbD9eD0D60971565AA8510560ab41"
SIGN_MESSAGE = SAFE["SignMessageLib"]
AGENT_KEY = SigningKey(AGENT_SECRET)
HALF = 2**255 - 1


def _domain(w: Gated, token: str) -> bytes:
    separator: bytes = w.read(token, "erc20", "DOMAIN_SEPARATOR")[0]
    return separator


def _digest(separator: bytes, typed: str, *values: int | str | bytes) -> bytes:
    return keccak(b"\x19\x01" + separator + keccak(keccak(typed.encode()) + words(*values)))


def _split(signature: bytes) -> tuple[int, bytes, bytes]:
    return signature[64], signature[:32], signature[32:64]


def _permit(token: str) -> Callable[[Gated], bytes]:
    """EIP-2612 for the Safe's tokens, signed by the agent as if he were the Safe."""

    def made(w: Gated) -> bytes:
        typed = "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"
        signature = AGENT_KEY.sign(_digest(_domain(w, token), typed, w.safe, THIEF, MAX, 0, FOREVER))
        v, r, s = _split(signature)
        head = keccak(b"permit(address,address,uint256,uint256,uint8,bytes32,bytes32)")[:4]
        return head + words(w.safe, THIEF, MAX, FOREVER, v, r, s)

    return made


def _permit_1271(w: Gated) -> bytes:
    """The same with the signature as bytes, which USDC has the Safe itself judge."""
    typed = "Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"
    signature = AGENT_KEY.sign(_digest(_domain(w, USDC), typed, w.safe, THIEF, MAX, 0, FOREVER))
    head = keccak(b"permit(address,address,uint256,uint256,bytes)")[:4]
    return head + words(w.safe, THIEF, MAX, FOREVER, 5 * 32) + tail(signature)


def _authorization(function: str, kind: str) -> Callable[[Gated], bytes]:
    """EIP-3009."""

    def made(w: Gated) -> bytes:
        typed = f"{kind}(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
        values = (w.safe, THIEF, USDC_ONE, 0, FOREVER, bytes(32))
        v, r, s = _split(AGENT_KEY.sign(_digest(_domain(w, USDC), typed, *values)))
        types = "(address,address,uint256,uint256,uint256,bytes32,uint8,bytes32,bytes32)"
        return keccak((function + types).encode())[:4] + words(*values, v, r, s)

    return made


def _signed_for_permit2(w: Gated) -> bytes:
    separator: bytes = w.read(PERMIT2, "permit2", "DOMAIN_SEPARATOR")[0]
    details = keccak(
        keccak(b"PermitDetails(address token,uint160 amount,uint48 expiration,uint48 nonce)")
        + words(WETH, 2**160 - 1, FOREVER, 0)
    )
    typed = "PermitSingle(PermitDetails details,address spender,uint256 sigDeadline)PermitDetails(address token,uint160 amount,uint48 expiration,uint48 nonce)"
    return AGENT_KEY.sign(_digest(separator, typed, details, THIEF, FOREVER))  # fmt: skip


def _permit2(w: Gated) -> bytes:
    head = keccak(b"permit(address,((address,uint160,uint48,uint48),address,uint256),bytes)")[:4]
    fields = words(w.safe, WETH, 2**160 - 1, FOREVER, 0, THIEF, FOREVER, 8 * 32)
    return head + fields + tail(_signed_for_permit2(w))


def _permit2_with_the_owners_word(w: Gated) -> bytes:
    """The Safe's own form of signature, v = 1: this owner approved it, which he did not."""
    owner = w.read(w.safe, "safe", "getOwners")[0][0]
    forged = (words(owner, 0) + b"\x01") * 2
    head = keccak(b"permit(address,((address,uint160,uint48,uint48),address,uint256),bytes)")[:4]
    return head + words(w.safe, WETH, 2**160 - 1, FOREVER, 0, THIEF, FOREVER, 8 * 32) + tail(forged)


def _permit2_transfer(w: Gated) -> bytes:
    head = keccak(b"permitTransferFrom(((address,uint256),uint256,uint256),(address,uint256),address,bytes)")[
        :4
    ]
    return head + words(WETH, ETH, 0, FOREVER, THIEF, ETH, w.safe, 8 * 32) + tail(_signed_for_permit2(w))


def _delegation_with_sig(w: Gated) -> bytes:
    separator: bytes = w.read(DEBT_USDC, "erc20", "DOMAIN_SEPARATOR")[0]
    typed = "DelegationWithSig(address delegatee,uint256 value,uint256 nonce,uint256 deadline)"
    v, r, s = _split(AGENT_KEY.sign(_digest(separator, typed, THIEF, MAX, 0, FOREVER)))
    head = keccak(b"delegationWithSig(address,address,uint256,uint256,uint8,bytes32,bytes32)")[:4]
    return head + words(w.safe, THIEF, MAX, FOREVER, v, r, s)


def _module_door(w: Gated) -> bytes:
    tx = SafeTx(USDC, 0, encode("erc20", "transfer", (THIEF, 1)), 0, w.nonce())
    return encode("safe", "approveHash", (safe_tx_hash(1, w.safe, tx),))


def _liquidation(debt: int) -> Callable[[Gated], bytes]:
    return named(
        "liquidationCall(address,address,address,uint256,bool)", WETH, USDC, lambda w: w.safe, debt, 0
    )


def _flash(receiver: Callable[[Gated], str]) -> Callable[[Gated], bytes]:
    head = keccak(b"flashLoanSimple(address,address,uint256,bytes,uint16)")[:4]
    return lambda w: head + words(receiver(w), USDC, 10 * USDC_ONE, 5 * 32, 0) + tail(b"")


def _flash_into_debt(w: Gated) -> bytes:
    """Mode 2: what is not paid back becomes the Safe's debt."""
    head = keccak(b"flashLoan(address,address[],uint256[],uint256[],address,bytes,uint16)")[:4]
    offsets = words(THIEF, 7 * 32, 9 * 32, 11 * 32, w.safe, 13 * 32, 0)
    return head + offsets + words(1, USDC, 1, 10 * USDC_ONE, 1, 2) + tail(b"")


def _at_the_floor(w: Gated) -> object:
    """As much debt as the Gate lets a thief make, and feeds at the edge of what they may be wrong by."""
    leveraged(w)
    return w.prices("2985", "1.0025")


VIOLATES = "ConditionViolation"
APPROVALS = (
    Attack("USDC.approve as the Safe", VIOLATES, role(fixed(USDC), data("erc20", "approve", THIEF, MAX))),
    Attack("USDC.increaseAllowance as the Safe", VIOLATES, role(fixed(USDC), named("increaseAllowance(address,uint256)", THIEF, HALF))),
    Attack("aWETH.approve as the Safe", VIOLATES, role(fixed(A_WETH), data("erc20", "approve", THIEF, MAX))),
    Attack("aUSDC.approve as the Safe", VIOLATES, role(fixed(A_USDC), data("erc20", "approve", THIEF, MAX))),
    Attack("aWETH.transfer as the Safe", VIOLATES, role(fixed(A_WETH), data("erc20", "transfer", THIEF, ETH)), leveraged),
    Attack("USDC debt delegated to the agent", VIOLATES, role(fixed(DEBT_USDC), data("aave_debt_token", "approveDelegation", AGENT, MAX))),
    Attack("WETH debt delegated to the thief through a trade", "RouteNotListed", trade(router=DEBT_WETH, data=data("aave_debt_token", "approveDelegation", THIEF, MAX))),
    Attack("Permit2.approve as the Safe", VIOLATES, role(fixed(PERMIT2), data("permit2", "approve", WETH, THIEF, 2**160 - 1, FOREVER))),
    Attack("Permit2.transferFrom the Safe", "AllowanceExpired", direct(fixed(PERMIT2), data("permit2", "transferFrom", to_safe, THIEF, 1, WETH))),
    Attack("Permit2.transferFrom the Gate", "AllowanceExpired", direct(fixed(PERMIT2), data("permit2", "transferFrom", to_gate, THIEF, 1, WETH))),
    Attack("the LP NFTs approved for all", VIOLATES, role(fixed(NPM), named("setApprovalForAll(address,bool)", THIEF, 1))),
    Attack("one LP NFT approved", VIOLATES, role(fixed(NPM), named("approve(address,uint256)", THIEF, 1))),
    Attack("an LP NFT's fees collected by the thief", VIOLATES, role(fixed(NPM), named("collect((uint256,address,uint128,uint128))", 1, THIEF, 2**128 - 1, 2**128 - 1))),
    Attack("an LP NFT sent to the thief", VIOLATES, role(fixed(NPM), named("transferFrom(address,address,uint256)", to_safe, THIEF, 1))),
    Attack("the V4 positions approved for all", VIOLATES, role(fixed(V4_POSITIONS), named("setApprovalForAll(address,bool)", THIEF, 1))),
    Attack("the LP NFTs approved through a trade", "RouteNotListed", trade(router=NPM, data=named("setApprovalForAll(address,bool)", THIEF, 1))),
    Attack("a Balancer relayer approved", VIOLATES, role(fixed(BALANCER["Vault"]), named("setRelayerApproval(address,address,bool)", to_safe, THIEF, 1))),
    Attack("an off-chain order pre-signed", VIOLATES, role(fixed(COW), lambda w: keccak(b"setPreSignature(bytes,bool)")[:4] + words(64, 1) + tail(bytes(56)))),
    Attack("WETH unwrapped as the Safe", VIOLATES, role(fixed(WETH), data("weth9", "withdraw", ETH))),
)  # fmt: skip
SIGNATURES = (
    Attack("USDC.permit by the agent's signature", "invalid signature", direct(fixed(USDC), _permit(USDC))),
    Attack("USDC.permit that the Safe itself should judge", "invalid signature", direct(fixed(USDC), _permit_1271)),
    Attack("aWETH.permit by the agent's signature", "79", direct(fixed(A_WETH), _permit(A_WETH))),
    Attack("USDC.transferWithAuthorization", "invalid signature", direct(fixed(USDC), _authorization("transferWithAuthorization", "TransferWithAuthorization"))),
    Attack("USDC.receiveWithAuthorization", "payee", direct(fixed(USDC), _authorization("receiveWithAuthorization", "ReceiveWithAuthorization"))),
    Attack("Permit2.permit by the agent's signature", "GS", direct(fixed(PERMIT2), _permit2)),
    Attack("Permit2.permit by owners who never approved", "GS", direct(fixed(PERMIT2), _permit2_with_the_owners_word)),
    Attack("Permit2.permitTransferFrom", "GS", direct(fixed(PERMIT2), _permit2_transfer)),
    Attack("debt delegated by the agent's signature", "79", direct(fixed(DEBT_USDC), _delegation_with_sig)),
    Attack("a message signed as the Safe, for an order to another receiver", VIOLATES, role(fixed(SIGN_MESSAGE), lambda w: keccak(b"signMessage(bytes)")[:4] + words(32) + tail(b"order"), op=1)),
    Attack("a message signed at the library itself, as the agent", VIOLATES, role(fixed(SIGN_MESSAGE), lambda w: keccak(b"signMessage(bytes)")[:4] + words(32) + tail(b"order"))),
    Attack("Safe.approveHash by the agent", "GS030", direct(to_safe, _module_door)),
    Attack("Safe.approveHash by the thief", "GS030", direct(to_safe, _module_door), sender=THIEF),
    Attack("Safe.approveHash as the Safe", VIOLATES, role(to_safe, _module_door)),
)  # fmt: skip
LENDING = (
    Attack("liquidated while healthy", "45", direct(fixed(POOL), _liquidation(1_000 * USDC_ONE)), leveraged, sender=THIEF),
    Attack("borrowed to the floor, then liquidated at the feeds' edge", "45", direct(fixed(POOL), _liquidation(1_000 * USDC_ONE)), _at_the_floor, sender=THIEF),
    Attack("withdrawn, then liquidated", "45", direct(fixed(POOL), _liquidation(MAX)), lambda w: (w.does(w.lend("supply", WETH, 20 * ETH)), w.does(w.lend("borrow", USDC, 20_000 * USDC_ONE)), w.does(w.lend("withdraw", WETH, 3 * ETH))), sender=THIEF),
    Attack("a flash loan that the Safe should pay back", "reverted", direct(fixed(POOL), _flash(to_safe))),
    Attack("a flash loan that the Gate should pay back", "reverted", direct(fixed(POOL), _flash(to_gate))),
    Attack("a flash loan left as the Safe's debt", "reverted", direct(fixed(POOL), _flash_into_debt), leveraged),
    Attack("lending with a deadline in the far future", "DeadlineTooFar", lambda w: w.through(encode("gate", "lend", (1, WETH, ETH, FOREVER)))),
    Attack("lending after its deadline", "DeadlinePassed", lambda w: w.through(encode("gate", "lend", (1, WETH, ETH, w.now() - 1)))),
    Attack("nothing lent", "AmountOutOfRange", lambda w: w.through(w.lend("supply", WETH, 0))),
    Attack("all that there is withdrawn", "AmountOutOfRange", lambda w: w.through(w.lend("withdraw", WETH, MAX)), leveraged),
    Attack("withdrawn without having supplied", "TokenCallFailed", lambda w: w.through(w.lend("withdraw", WETH, ETH))),
    Attack("borrowed without collateral", "34", lambda w: w.through(w.lend("borrow", USDC, 100 * USDC_ONE))),
    Attack("repaid without debt", "39", lambda w: w.through(w.lend("repay", USDC, 100 * USDC_ONE))),
    Attack("more borrowed than the budget", "OverBudget", lambda w: w.through(w.lend("borrow", USDC, 30_001 * USDC_ONE)), lambda w: w.does(w.lend("supply", WETH, 40 * ETH))),
    Attack("an action that does not exist", "ReserveNotListed", lambda w: w.through(encode("gate", "lend", (16, WETH, ETH, w.now() + 60)))),
    Attack("no action at all", "ReserveNotListed", lambda w: w.through(encode("gate", "lend", (0, WETH, ETH, w.now() + 60)))),
    Attack("lending at the Gate past its modifier", "NotTheAgent", direct(to_gate, lambda w: w.lend("supply", WETH, ETH))),
    Attack("supplied for the thief", VIOLATES, role(fixed(POOL), data("aave_v3_pool", "supply", WETH, ETH, THIEF, 0))),
    Attack("withdrawn to the thief as the Safe", VIOLATES, role(fixed(POOL), data("aave_v3_pool", "withdraw", WETH, MAX, THIEF)), leveraged),
    Attack("the pool's own hook called", "11", direct(fixed(POOL), named("finalizeTransfer(address,address,address,uint256,uint256,uint256)", WETH, to_safe, THIEF, ETH, ETH, 0)), leveraged),
    Attack("the aToken's own door called", "23", direct(fixed(A_WETH), named("transferOnLiquidation(address,address,uint256)", to_safe, THIEF, ETH)), leveraged),
)  # fmt: skip
FAMILIES: dict[str, tuple[Attack, ...]] = {
    "approvals of every kind": APPROVALS,
    "signatures that are not the owners'": SIGNATURES,
    "lending turned against its owner": LENDING,
}
