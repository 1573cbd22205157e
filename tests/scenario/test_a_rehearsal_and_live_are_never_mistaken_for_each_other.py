"""Chain ids and domains of a rehearsal equal mainnet's: only Anvil's own answer with our marker says that a chain is local."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from home_fixture import Home

from agent.app.local_proof import prove_environment
from agent.app.settings_fix import Fix
from agent.app.settings_tree import Settings
from agent.domain.errors import Denied, Retry
from chains.anvil import Anvil
from chains.types import Environment


def changed(settings: Settings, **changes: object) -> Settings:
    return settings.model_copy(update=changes)


def with_rpc(settings: Settings, url: str) -> Settings:
    """The same settings with another endpoint added to chain 1."""
    first, *rest = settings.chains
    return changed(settings, chains=(first.model_copy(update={"rpc": (*first.rpc, url)}), *rest))


def with_relay(settings: Settings, url: str) -> Settings:
    first, *rest = settings.chains
    relay = first.relays[0].model_copy(update={"url": url})
    return changed(settings, chains=(first.model_copy(update={"relays": (relay,)}), *rest))


def with_venue(settings: Settings, **changes: object) -> Settings:
    first, *rest = settings.venues
    return changed(settings, venues=(first.model_copy(update=changes), *rest))


async def prove(settings: Settings) -> None:
    async with aiohttp.ClientSession() as session:
        await prove_environment(settings, {v.name for v in settings.venues}, session)


async def refusal(settings: Settings) -> str:
    with pytest.raises(Denied) as refused:
        await prove(settings)
    assert refused.value.hint
    return refused.value.code


@pytest.fixture
async def stranger() -> AsyncIterator[str]:
    """A chain on loopback that nobody marked: what a tunnel to somebody's node looks like."""
    async with Anvil.running(["--chain-id", "1", "--quiet"]) as anvil:
        yield anvil.url


@pytest.fixture
async def pretender() -> AsyncIterator[str]:
    """Answers every question as a live node does, the paper exchange's ping without its name, and hides what it runs on."""

    async def answer(request: web.Request) -> web.Response:
        if request.method == "GET":
            return web.json_response({})
        asked = await request.json()
        said = {"web3_clientVersion": "Geth/v1.15", "eth_getCode": "0x"}[asked["method"]]
        return web.json_response({"jsonrpc": "2.0", "id": asked["id"], "result": said})

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_the_devnets_own_settings_are_believed(home: Home) -> None:
    await prove(home.settings)


async def test_a_rehearsals_settings_with_one_endpoint_of_the_real_chain_sign_nothing(
    home: Home, stranger: str, pretender: str
) -> None:
    assert await refusal(with_rpc(home.settings, stranger)) == "NOT_LOCAL"
    assert await refusal(with_rpc(home.settings, pretender)) == "NOT_LOCAL"
    assert await refusal(with_relay(home.settings, pretender)) == "NOT_LOCAL"


async def test_an_endpoint_that_is_silent_is_not_local(home: Home) -> None:
    with pytest.raises(Retry, match="did not show whether it is a devnet") as silent:
        await prove(with_rpc(home.settings, "http://127.0.0.1:9"))
    assert silent.value.code == "NOT_PROVED_LOCAL"


async def test_a_devnet_is_no_fork_and_never_live(home: Home) -> None:
    assert await refusal(changed(home.settings, environment=Environment.FORK)) == "OTHER_ENVIRONMENT"
    assert await refusal(changed(home.settings, environment=Environment.LIVE)) == "LOCAL_IN_LIVE"


async def test_live_settings_on_somebodys_anvil_sign_nothing(home: Home, stranger: str) -> None:
    (chain, *_) = home.settings.chains
    alone = changed(
        home.settings,
        environment=Environment.LIVE,
        chains=(chain.model_copy(update={"rpc": (stranger,), "relays": ()}),),
        venues=(),
    )
    assert await refusal(alone) == "LOCAL_IN_LIVE"


async def test_a_rehearsals_orders_reach_no_real_exchange(home: Home, pretender: str) -> None:
    settings = home.settings
    assert await refusal(with_venue(settings, base_url=pretender)) == "VENUE_NOT_LOCAL"
    assert await refusal(with_venue(settings, base_url=None)) == "VENUE_NOT_LOCAL"
    elsewhere = pretender.replace("http", "ws")
    assert await refusal(with_venue(settings, ws_url=elsewhere)) == "VENUE_NOT_LOCAL"
    fix = Fix(
        url="tcp://127.0.0.1:9000", api_key="env:K", senders=("FL1",)
    )  # which may be a tunnel to the real one
    assert await refusal(with_venue(settings, fix=fix)) == "VENUE_NOT_LOCAL"
    live = changed(settings, environment=Environment.LIVE, chains=())
    assert await refusal(live) == "LOCAL_IN_LIVE"


def test_the_command_refuses_before_it_opens_the_journal(home: Home) -> None:
    text = home.settings_path.read_text()
    as_fork = home.settings_path.with_name("as-fork.toml")
    as_fork.write_text(text.replace('environment = "devnet"', 'environment = "fork"'))
    entries = home.settings.journal.path.exists()
    refused = home.run("trade sell 1 ETH --for USDC --live --yes --max-loss 50", as_fork)
    assert refused.status == 3 and "OTHER_ENVIRONMENT" in refused.err
    assert home.settings.journal.path.exists() == entries
