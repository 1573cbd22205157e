"""aggregate3's bytes against the independent codec, and answers that are cut or wrong."""

from __future__ import annotations

import pytest
from eth_abi import encode as abi_encode
from hypothesis import given, settings
from hypothesis import strategies as st

from chains.errors import Retry
from chains.evm import checksum
from chains.multicall import decode_aggregate3, encode_aggregate3, proves
from chains.types import BlockRef, Call, CallResult, Hash32
from contracts.codec import encode

addresses = st.binary(min_size=20, max_size=20).map(lambda b: checksum("0x" + b.hex()))
calls = st.lists(st.builds(Call, addresses, st.binary(max_size=100)), max_size=6)
answers = st.lists(st.builds(CallResult, st.booleans(), st.binary(max_size=100)), max_size=6)


@given(calls)
@settings(max_examples=60, deadline=None)
def test_calldata_is_what_the_codec_makes(wanted: list[Call]) -> None:
    by_codec = encode(
        "multicall3",
        "aggregate3",
        ([{"target": c.to, "allowFailure": True, "callData": c.data} for c in wanted],),
    )
    assert encode_aggregate3(wanted) == by_codec


@given(answers, st.data())
@settings(max_examples=80, deadline=None)
def test_answers_are_read_back_and_cut_ones_refused(given_: list[CallResult], data: st.DataObject) -> None:
    raw = abi_encode(["(bool,bytes)[]"], [[(r.ok, r.data) for r in given_]])
    assert decode_aggregate3(raw, len(given_)) == given_
    with pytest.raises(Retry):
        decode_aggregate3(raw, len(given_) + 1)
    # The last word of an answer with data is padding at most: what is cut before it shows.
    cut = data.draw(st.integers(0, max(0, len(raw) - 64)))
    if cut < len(raw) - 64:
        with pytest.raises(Retry):
            decode_aggregate3(raw[:cut], len(given_))


def test_only_the_blocks_own_answers_prove_it() -> None:
    ref = BlockRef(7, Hash32("0x" + "aa" * 32), Hash32("0x" + "bb" * 32), 1000, 1)

    def proof(number: int, time: int, parent: int) -> list[CallResult]:
        return [CallResult(True, v.to_bytes(32, "big")) for v in (number, time, parent)]

    parent = int("bb" * 32, 16)
    assert proves(ref, proof(7, 1000, parent))
    assert not proves(ref, proof(8, 1000, parent)) and not proves(ref, proof(7, 1001, parent))
    assert not proves(ref, proof(7, 1000, parent + 1)) and not proves(ref, [CallResult(False, b"")] * 3)
    # Arbitrum's block.number is Ethereum's: only the time can be compared.
    assert proves(ref, proof(99, 1000, 1), own_numbers=False)
