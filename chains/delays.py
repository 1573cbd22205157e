"""A Zodiac Delay modifier read off the chain: whose it is, how long what is queued waits, and everything that waits in it. Reads only.

    delay = await delay_at(chain, module)          None where something else stands there
    delay.due(delay.queued[0])                     (from when, until when) it can be executed, by anybody, as the Safe

What waits is kept on chain as a hash. Its content is looked for in the modifier's own logs and believed by that hash alone
(keccak256 of to ‖ value ‖ data ‖ operation, Delay.getTransactionHash); where no log is found it stays None.
A Delay is told by its code: an EIP-1167 proxy over the mastercopy that Zodiac publishes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from chains.errors import Retry
from chains.types import Address, BlockRef, Call, ChainReader
from contracts.abi_types import AbiError
from contracts.codec import decode_event, decode_result, encode, topic
from contracts.decode_powers import DELAY_MASTERCOPY
from contracts.hashing import address_bytes, keccak

MOST = 2_000
"""Of what waits, the first so many are read; to put one behind them costs whoever may queue some 120,000,000 gas."""
_PAGE = 50
_SENTINEL = "0x" + "0" * 39 + "1"
_PROXY = bytes.fromhex("363d3d373d3d3d363d73"), bytes.fromhex("5af43d82803e903d91602b57fd5bf3")
_BLOCKS_A_SECOND, _MORE_BLOCKS = 4, 1_000
"""No chain here builds more; how far back logs are looked for."""


@dataclass(frozen=True, slots=True)
class Queued:
    """`call` and `operation` (0 a call, 1 a delegatecall) are what its hash proves; None where no log was found."""

    number: int
    hash: bytes
    created_s: int
    call: Call | None = None
    operation: int = 0


@dataclass(frozen=True, slots=True)
class Delay:
    """`modules` may queue; `next_number` is the one that can be executed first, `end_number` the one that will be given next.

    `expiration_s` 0: what waits never expires. Times in seconds of the chain's clock.
    """

    address: Address
    owner: Address
    avatar: Address
    target: Address
    cooldown_s: int
    expiration_s: int
    next_number: int
    end_number: int
    modules: tuple[Address, ...]
    queued: tuple[Queued, ...]
    block: BlockRef

    @property
    def unread(self) -> int:
        """How many more wait behind `queued`."""
        return max(self.end_number - self.next_number - len(self.queued), 0)

    def due(self, one: Queued) -> tuple[int, int | None]:
        """From when, and until when (None: for ever), it can be executed, both included; in its turn."""
        first = one.created_s + self.cooldown_s
        return first, first + self.expiration_s if self.expiration_s else None


def proxy_code() -> bytes:
    """What stands at every Delay that Zodiac's factory made."""
    return _PROXY[0] + address_bytes(DELAY_MASTERCOPY) + _PROXY[1]


def queue_hash(to: str, value: int, data: bytes, operation: int) -> bytes:
    return keccak(address_bytes(to) + value.to_bytes(32, "big") + data + bytes([operation]))


async def delay_at(chain: ChainReader, address: Address) -> Delay | None:
    """All of it at one block. Raises Retry where the chain does not answer."""
    block = await chain.block()
    if await chain.code(address, block.number) != proxy_code():
        return None
    names = ("owner", "avatar", "target", "txCooldown", "txExpiration", "txNonce", "queueNonce")
    asked = [Call(address, encode("zodiac_delay", name)) for name in names]
    asked.append(Call(address, encode("zodiac_delay", "getModulesPaginated", (_SENTINEL, _PAGE))))
    _, told = await chain.multicall(asked, block.number)
    try:
        owner, avatar, target, cooldown, expiration, following, end, modules = (
            decode_result("zodiac_delay", name, answer.data)[0]
            for name, answer in zip((*names, "getModulesPaginated"), told, strict=True)
        )
    except AbiError:
        return None
    every = await _modules(chain, address, tuple(modules), block)
    found = Delay(address, owner, avatar, target, cooldown, expiration, following, end, every, (), block)
    return replace(found, queued=await _queue(chain, found))


async def _modules(
    chain: ChainReader, address: Address, first: tuple[Address, ...], block: BlockRef
) -> tuple[Address, ...]:
    """All of them. Each page begins behind the last one known: what `next` names differs between releases of Zodiac."""
    found, page = first, first
    while len(page) == _PAGE:
        call = Call(address, encode("zodiac_delay", "getModulesPaginated", (found[-1], _PAGE)))
        _, (told,) = await chain.multicall([call], block.number)
        try:
            page = tuple(decode_result("zodiac_delay", "getModulesPaginated", told.data)[0])
        except AbiError:
            raise Retry(
                "MALFORMED_ANSWER", f"the Delay {address} did not tell all its modules", "ask again"
            ) from None
        found += tuple(module for module in page if module not in found)
    return found


async def _queue(chain: ChainReader, delay: Delay) -> tuple[Queued, ...]:
    numbers = range(delay.next_number, min(delay.end_number, delay.next_number + MOST))
    if not numbers:
        return ()
    asked = [
        Call(delay.address, encode("zodiac_delay", name, (number,)))
        for number in numbers
        for name in ("getTxHash", "getTxCreatedAt")
    ]
    _, told = await chain.multicall(asked, delay.block.number)
    found = {
        number: Queued(number, told[2 * i].data[:32], int.from_bytes(told[2 * i + 1].data[:32], "big"))
        for i, number in enumerate(numbers)
    }
    age = max(delay.block.timestamp - min(one.created_s for one in found.values()), 0)
    since = max(delay.block.number - _BLOCKS_A_SECOND * age - _MORE_BLOCKS, 0)
    logs = await chain.logs(
        delay.address, [topic("zodiac_delay", "TransactionAdded")], since, delay.block.number
    )
    for log in logs:
        try:
            event = decode_event("zodiac_delay", log)
        except AbiError:
            continue
        if event is None:
            continue
        said = event.args
        one = found.get(said["queueNonce"])
        content = said["to"], said["value"], said["data"], said["operation"]
        if one is not None and queue_hash(*content) == one.hash:
            call = Call(Address(said["to"]), said["data"], said["value"])
            found[one.number] = replace(one, call=call, operation=said["operation"])
    return tuple(found.values())
