"""http(s) endpoints answer calls, ws(s) endpoints tell new heads, and neither is ever taken for the other."""

from __future__ import annotations

import pytest

from agent.app.endpoints import call_endpoints, head_endpoints
from agent.app.settings_tree import Chain
from agent.domain.errors import Usage
from chains.rpc import SecretUrl


def chain(*rpc: str) -> Chain:
    return Chain.model_validate({"name": "base", "chain_id": 8453, "rpc": list(rpc)})


def test_each_url_has_its_own_use() -> None:
    mixed = chain(
        "http://127.0.0.1:1",
        "ws://127.0.0.1:1",
        "cmd:printf wss://x.example/v2/key",
        "cmd:printf https://y.example/k",
    )
    assert [url.origin for url in call_endpoints(mixed)] == ["http://127.0.0.1:1", "https://y.example"]
    assert [url.origin for url in head_endpoints(mixed)] == ["ws://127.0.0.1:1", "wss://x.example"]
    assert head_endpoints(chain("http://127.0.0.1:1")) == []


def test_a_reference_to_a_websocket_alone_is_told_when_it_is_resolved() -> None:
    with pytest.raises(Usage) as refused:
        call_endpoints(chain("cmd:printf wss://x.example/v2/key"))
    assert refused.value.code == "NO_HTTP_ENDPOINT" and "key" not in str(refused.value)


async def test_no_call_goes_to_a_websocket() -> None:
    import aiohttp

    from chains.rpc import Rpc

    async with aiohttp.ClientSession() as session:
        with pytest.raises(Usage, match="answers no calls"):
            Rpc(SecretUrl("wss://x.example/v2/key"), session)
    for wrong in ("ftp://x", "ws:/x", "wss://", "http://[::1", "http://x:99999"):
        with pytest.raises(Usage, match="BAD_RPC_URL"):
            SecretUrl(wrong)
