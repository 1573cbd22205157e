"""The codec against eth_abi, in both directions, and against bytes nobody would write."""

from __future__ import annotations

from typing import Any

import eth_abi
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts import abi, codec, multisend
from contracts import universal_router as ur
from contracts.abi_types import AbiError, AbiType, Array, Tuple, parse_type
from contracts.decode import to_leaves
from contracts.hashing import checksum
from contracts.multisend import Part

ADDRESS = st.binary(min_size=20, max_size=20).map(checksum)


def values(kind: AbiType) -> st.SearchStrategy[Any]:
    """Values of a type, as the codec takes them."""
    if isinstance(kind, Array):
        size = kind.length
        return st.lists(values(kind.item), min_size=size or 0, max_size=3 if size is None else size).map(
            tuple
        )
    if isinstance(kind, Tuple):
        return st.tuples(*map(values, kind.types)).map(lambda v: dict(zip(kind.names, v, strict=True)))
    name = kind.name
    if name == "bool":
        return st.booleans()
    if name == "address":
        return ADDRESS
    if name == "string":
        return st.text(max_size=70)
    if name == "bytes":
        return st.binary(max_size=70)
    if name.startswith("bytes"):
        return st.binary(min_size=int(name[5:]), max_size=int(name[5:]))
    bits = int(name.removeprefix("u").removeprefix("int"))
    low, high = (0, (1 << bits) - 1) if name[0] == "u" else (-(1 << bits - 1), (1 << bits - 1) - 1)
    return st.integers(low, high)


def plain(kind: AbiType, value: Any) -> Any:
    """The same value as eth_abi takes it: tuples instead of dicts."""
    if isinstance(kind, Tuple):
        return tuple(plain(t, value[n]) for t, n in zip(kind.types, kind.names, strict=True))
    if isinstance(kind, Array):
        return tuple(plain(kind.item, v) for v in value)
    return value


def functions() -> list[tuple[str, str]]:
    return [(n, e.signature) for n in abi.names() for e in codec.interface(n).by_selector.values()]


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_every_listed_function_encodes_as_eth_abi_does_and_comes_back(data: st.DataObject) -> None:
    contract, signature = data.draw(st.sampled_from(functions()))
    entry = codec.interface(contract).by_name[signature][0]
    args = data.draw(values(entry.inputs))
    encoded = codec.encode(contract, signature, args)
    assert encoded[4:] == eth_abi.encode([t.name for t in entry.inputs.types], plain(entry.inputs, args))
    decoded = codec.decode_call(contract, encoded)
    assert decoded.args == args and decoded.signature == signature


SHAPES = [
    "uint8[2][]",
    "(bytes a, (string b, int24[] c)[2] d, bool e)[]",
    "bytes32[][3]",
    "(address[] x, bytes[] y)",
    "int256",
]


@given(st.sampled_from(SHAPES).flatmap(lambda s: st.tuples(st.just(s), values(parse_type(s)))))
@settings(max_examples=150, deadline=None)
def test_nested_shapes(case: tuple[str, Any]) -> None:
    kind = parse_type(case[0])
    one = Tuple([kind], ["x"])
    encoded = one.enc((case[1],))
    assert encoded == eth_abi.encode([kind.name], [plain(kind, case[1])])
    assert one.decode(encoded) == {"x": case[1]}


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_what_decodes_encodes_to_the_same_bytes(data: st.DataObject) -> None:
    """Calldata with a byte changed, cut or added either is refused or means exactly its own bytes."""
    contract, signature = data.draw(st.sampled_from(functions()))
    entry = codec.interface(contract).by_name[signature][0]
    encoded = bytearray(codec.encode(contract, signature, data.draw(values(entry.inputs))))
    how = data.draw(st.sampled_from(["flip", "cut", "add"]))
    at = data.draw(st.integers(4, len(encoded)))
    if how == "cut":
        encoded = encoded[:at]
    elif how == "add" or at == len(encoded):
        encoded += data.draw(st.binary(min_size=1, max_size=40))
    else:
        encoded[at] ^= data.draw(st.integers(1, 255))
    try:
        decoded = codec.decode_call(contract, bytes(encoded))
    except AbiError:
        return
    assert codec.encode(contract, decoded.signature, decoded.args) == bytes(encoded)


@given(st.binary(max_size=400))
@settings(max_examples=300, deadline=None)
def test_no_bytes_break_the_decoders(data: bytes) -> None:
    known = {checksum(bytes([i]) * 20): name for i, name in enumerate(abi.names())}
    for to in known:
        for operation in (0, 1):
            assert to_leaves(Part(to, 0, data), known, operation)
        for entry in codec.interface(known[to]).by_selector.values():
            assert to_leaves(Part(to, 0, entry.id[:4] + data), known)
    assert codec.decode_revert(data)


@given(
    st.lists(
        st.builds(Part, ADDRESS, st.integers(0, (1 << 256) - 1), st.binary(max_size=90), st.integers(0, 1)),
        max_size=5,
    )
)
def test_batches_come_back(parts: list[Part]) -> None:
    assert multisend.unpack(multisend.pack(parts)) == tuple(parts)


@given(
    st.sampled_from(sorted(ur.COMMANDS)).flatmap(
        lambda n: st.tuples(st.just(n), values(ur.COMMANDS[n][1]), st.booleans())
    )
)
def test_router_commands_come_back(case: tuple[str, Any, bool]) -> None:
    command = ur.Command(*case)
    assert ur.decode_command(*ur.encode_command(command)) == command


@given(st.lists(ADDRESS, min_size=2, max_size=5), st.data())
def test_v3_paths_come_back(tokens: list[str], data: st.DataObject) -> None:
    fees = data.draw(
        st.lists(st.integers(0, (1 << 24) - 1), min_size=len(tokens) - 1, max_size=len(tokens) - 1)
    )
    assert ur.decode_v3_path(ur.v3_path(tokens, fees)) == (tuple(tokens), tuple(fees))


def test_reverts_are_sentences() -> None:
    error = bytes.fromhex("08c379a0") + eth_abi.encode(["string"], ["Too little received"])
    assert codec.decode_revert(error) == "Too little received"
    assert (
        codec.decode_revert(bytes.fromhex("4e487b71") + (0x11).to_bytes(32, "big"))
        == "panic 0x11: arithmetic overflow or underflow"
    )
    inner = codec.interface("universal_router").errors
    too_little = next(e for e in inner.values() if e.name == "V3TooLittleReceived").id[:4]
    failed = next(e for e in inner.values() if e.name == "ExecutionFailed")
    nested = failed.id[:4] + failed.inputs.enc((3, too_little))
    assert (
        codec.decode_revert(nested)
        == "universal_router: command 3 failed: universal_router: V3TooLittleReceived()"
    )
    wrapped = codec.interface("uniswap_v4_pool_manager").errors
    hooked = next(e for e in wrapped.values() if e.name == "WrappedError")
    hook = "0x" + "11" * 20
    by_hook = hooked.id[:4] + hooked.inputs.enc((hook, bytes(4), error, b""))
    assert (
        codec.decode_revert(by_hook)
        == f"uniswap_v4_pool_manager: {hook} (a hook) failed: Too little received"
    )
    assert codec.decode_revert(b"") == "reverted without a reason"


def test_well_known_selectors_and_topics() -> None:
    assert codec.selector("erc20", "approve").hex() == "095ea7b3"
    assert codec.selector("safe", "execTransaction").hex() == "6a761202"
    assert codec.selector("multi_send", "multiSend").hex() == "8d80ff0a"
    assert codec.selector("universal_router", "execute(bytes,bytes[],uint256)").hex() == "3593564c"
    assert (
        codec.topic("erc20", "Transfer").hex()
        == "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
    )
    assert (
        codec.topic("uniswap_v3_pool", "Swap").hex()
        == "c42079f94a6350d7e6235f29174924f928cc2ac818eb64fed8004e115fbcca67"
    )
    assert (
        codec.topic("uniswap_v2_pair", "Swap").hex()
        == "d78ad95fa46c994b6551d0da85fc275fe613ce37657fb8d5e3d130840159d822"
    )
    with pytest.raises(AbiError, match="overloaded"):
        codec.selector("universal_router", "execute")
    with pytest.raises(codec.UnknownSelector):
        codec.decode_call("erc20", b"\1\2\3\4")
