"""Every approval that a wallet ever gave on a chain, found in the chain's own logs, and what is left of it now. Reads only.

Five kinds: a token's allowance, Permit2's second level with its expiry, an operator of a whole collection (ERC-721, ERC-1155), one
collectible, and credit delegated at Aave. Anybody can make a contract that logs an approval in this wallet's name: what a contract
that nobody here knows says is believed only where the Safe itself executed something in that transaction.
Sources: EIP-20, EIP-721, EIP-1155, Permit2's IAllowanceTransfer, Aave V3's ICreditDelegationToken, Safe's ExecutionSuccess.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agent.app.watching.aave import label
from agent.app.watching.approvals import Approval, Held, Kind, Token
from agent.app.watching.log_search import logs_within
from agent.domain.errors import FairleadError
from chains.evm import address_of, keccak, word
from chains.gateway import Gateway
from chains.profile import ChainProfile
from chains.types import ZERO_ADDRESS, Address, Call, CallResult, Log
from contracts.codec import encode

APPROVAL = keccak(b"Approval(address,address,uint256)")
FOR_ALL = keccak(b"ApprovalForAll(address,address,bool)")
PERMIT2 = keccak(b"Approval(address,address,address,uint160,uint48)")
PERMIT2_SIGNED = keccak(b"Permit(address,address,address,uint160,uint48,uint48)")
DELEGATED = keccak(b"BorrowAllowanceDelegated(address,address,address,uint256)")
EXECUTED = (
    keccak(b"ExecutionSuccess(bytes32,uint256)"),
    keccak(b"ExecutionFromModuleSuccess(address)"),
)


@dataclass(frozen=True, slots=True)
class Searched:
    """`why` is empty where every log was seen; `strange` counts those that contracts made in the wallet's name and nobody believes."""

    approvals: tuple[Approval, ...] = ()
    tokens: Mapping[Address, Token] = field(default_factory=dict)
    strange: int = 0
    why: str = ""


_Key = tuple[Kind, Address, Address, int]


async def search(
    profile: ChainProfile, gateway: Gateway, owner: Address, held: Held, since: int = 0, most: int = 40
) -> Searched:
    """What `held` does not list already. `since`: the first block; `most`: requests for logs, then it says so. Never raises for an
    endpoint's refusal: `why` tells it."""
    last, budget = held.holdings.block.number, [most]
    try:
        given = await logs_within(
            gateway,
            None,
            [[APPROVAL, FOR_ALL, PERMIT2, PERMIT2_SIGNED, DELEGATED], word(owner)],
            since,
            last,
            budget,
        )
        trusted = set(held.tokens) | {profile.contracts["permit2"]}
        own: set[str] = set()
        if any(log.address not in trusted for log in given):
            done = await logs_within(gateway, owner, [list(EXECUTED)], since, last, budget)
            own = {log.tx_hash for log in done}
    except FairleadError as error:
        if error.verb == "HALT":
            raise
        return Searched(why=error.message)
    believed = [log for log in given if log.address in trusted or log.tx_hash in own]
    keys = list(dict.fromkeys(k for log in believed if (k := _key(log, profile)) and k[2] != ZERO_ADDRESS))
    known = {(a.kind, a.token, a.spender, a.number) for a in held.approvals}
    keys = [k for k in keys if k not in known]
    found = await _left(profile, gateway, owner, keys, held)
    strangers = {a.token for a in found} - set(held.tokens)
    tokens = await _labels(gateway, sorted(strangers), last)
    return Searched(tuple(found), tokens, len({x.address for x in given} - {x.address for x in believed}))


def _key(log: Log, profile: ChainProfile) -> _Key | None:
    """(kind, token or collection, spender, number of one collectible)."""
    topics = log.topics
    match topics[0] if topics else b"":
        case t if t == APPROVAL and len(topics) == 3:
            return Kind.TOKEN, log.address, address_of(topics[2]), 0
        case t if t == APPROVAL and len(topics) == 4:
            return Kind.ONE, log.address, address_of(topics[2]), int.from_bytes(topics[3], "big")
        case t if t == FOR_ALL and len(topics) == 3:
            return Kind.OPERATOR, log.address, address_of(topics[2]), 0
        case t if t == DELEGATED and len(topics) == 4:
            return Kind.DELEGATION, log.address, address_of(topics[2]), 0
        case t if (
            t in (PERMIT2, PERMIT2_SIGNED)
            and len(topics) == 4
            and log.address == profile.contracts["permit2"]
        ):
            return Kind.PERMIT2, address_of(topics[2]), address_of(topics[3]), 0
    return None


async def _left(
    profile: ChainProfile, gateway: Gateway, owner: Address, keys: Sequence[_Key], held: Held
) -> list[Approval]:
    permit2, block = profile.contracts["permit2"], held.holdings.block
    calls: list[Call] = []
    spans: list[tuple[int, int]] = []
    for kind, token, spender, number in keys:
        match kind:
            case Kind.TOKEN:
                asked = [Call(token, encode("erc20", "allowance", (owner, spender)))]
            case Kind.PERMIT2:
                asked = [Call(permit2, encode("permit2", "allowance", (owner, token, spender)))]
            case Kind.OPERATOR:
                asked = [Call(token, encode("erc721", "isApprovedForAll", (owner, spender)))]
            case Kind.ONE:
                asked = [Call(token, encode("erc721", f, (number,))) for f in ("getApproved", "ownerOf")]
            case Kind.DELEGATION:
                asked = [Call(token, encode("aave_debt_token", "borrowAllowance", (owner, spender)))]
        spans.append((len(calls), len(calls) + len(asked)))
        calls += asked
    if not calls:
        return []
    _, answers = await gateway.multicall(calls, block.number)
    found = []
    for (kind, token, spender, number), (begin, end) in zip(keys, spans, strict=True):
        got = [_words(a) for a in answers[begin:end]]
        name = held.spenders.get(spender, "unknown")
        match kind:
            case Kind.ONE:
                if len(got) == 2 and got[0][:1] == [int(spender, 16)] and got[1][:1] == [int(owner, 16)]:
                    found.append(Approval(token, spender, name, 1, kind=kind, number=number))
            case Kind.PERMIT2:
                if len(got[0]) == 3 and got[0][0] and got[0][1] >= block.timestamp:
                    found.append(Approval(token, spender, name, got[0][0], got[0][1], kind))
            case _:
                if got[0] and got[0][0]:
                    found.append(Approval(token, spender, name, got[0][0], kind=kind))
    return found


def _words(result: CallResult) -> list[int]:
    if not result.ok:
        return []
    return [int.from_bytes(result.data[i : i + 32], "big") for i in range(0, len(result.data) - 31, 32)]


async def _labels(gateway: Gateway, tokens: Sequence[Address], block: int) -> dict[Address, Token]:
    if not tokens:
        return {}
    calls = [Call(t, encode("erc20", name)) for t in tokens for name in ("symbol", "decimals")]
    _, answers = await gateway.multicall(calls, block)
    found = {}
    for i, token in enumerate(tokens):
        symbol, digits = answers[2 * i : 2 * i + 2]
        decimals = (_words(digits) or [99])[0]
        said = label(symbol.data if symbol.ok else b"", token)
        found[token] = Token(token, said, decimals if decimals <= 36 else None)
    return found
