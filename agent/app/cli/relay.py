"""`fairlead relay list|canary|restore`: which private roads there are, whether one of them tells, and taking that back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.app.cli.groups import Sentences
from agent.app.cli.output import NO_CHAIN, emit_json, header, note, table
from chains.errors import Denied, Usage

if TYPE_CHECKING:
    from agent.app.canary_flight import RoadTold
    from agent.app.settings_tree import Chain, Settings
    from keys.curve import SigningKey

LEAKED = 4
"""Exit status where a road leaked."""


@click.group("relay", cls=Sentences)
def command() -> None:
    """The private roads that transactions travel on."""


def _chain(settings: Settings, named: str | None) -> Chain:
    """The chain of that name, or the one that has relays. Raises Usage UNKNOWN_CHAIN, NO_RELAY."""
    from chains import relays
    from chains.types import Protection

    private = [
        c for c in settings.chains if any(Protection.PRIVATE in relays.load(r.name).honours for r in c.relays)
    ]
    if named is not None:
        found = next((c for c in settings.chains if named in (c.name, str(c.chain_id))), None)
        if found is None:
            known = ", ".join(c.name for c in settings.chains)
            raise Usage("UNKNOWN_CHAIN", f"no chain {named!r} in the settings", f"there are {known}")
        return found
    if not private:
        raise Usage(
            "NO_RELAY", "no chain of the settings has a private relay", "add one under [[chains.relays]]"
        )
    return private[0]


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_context
def list_(ctx: click.Context, as_json: bool) -> None:
    """Every configured road: what it honours, whom it trusts, and whether it was dropped."""
    from agent.app.cli.common import load_settings
    from agent.app.leaky_roads import LeakyRoads
    from chains import relays

    settings = load_settings(ctx)
    leaky = LeakyRoads.beside(settings.journal.path)
    rows: list[dict[str, Any]] = []
    for chain in settings.chains:
        gone = leaky.of(chain.chain_id)
        for relay in chain.relays:
            profile = relays.load(relay.name)
            rows.append(
                {"chain": f"eip155:{chain.chain_id}", "road": relay.name, "honours": sorted(p.value for p in profile.honours),
                 "trusts": list(profile.trusts), "dropped": gone.get(relay.name)}
            )  # fmt: skip
    if as_json:
        emit_json({"roads": rows})
        return
    header(settings.environment.value, settings.wallet.address, NO_CHAIN)
    names = {f"eip155:{chain.chain_id}": chain.name for chain in settings.chains}
    shown = [
        [
            names[r["chain"]],
            r["road"],
            ", ".join(r["honours"]),
            ", ".join(r["trusts"]) or "nobody",
            r["dropped"] or "",
        ]
        for r in rows
    ]
    table(["chain", "road", "honours", "trusts", "dropped"], shown)


@command.command("restore")
@click.argument("road")
@click.option(
    "--chain", "chain_name", metavar="NAME", help="Whose road; the one with private relays by default."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_context
def restore(ctx: click.Context, road: str, chain_name: str | None, as_json: bool) -> None:
    """Use a road again that was dropped for leaking."""
    from agent.app.cli.common import load_settings
    from agent.app.leaky_roads import LeakyRoads

    settings = load_settings(ctx)
    chain = _chain(settings, chain_name)
    leaky = LeakyRoads.beside(settings.journal.path)
    if not leaky.forget(chain.chain_id, road):
        dropped = ", ".join(leaky.of(chain.chain_id)) or "none"
        raise Usage("NOT_DROPPED", f"{road} was not dropped on {chain.name}", f"dropped there: {dropped}")
    if as_json:
        emit_json({"chain": f"eip155:{chain.chain_id}", "restored": road})
        return
    header(settings.environment.value, settings.wallet.address, NO_CHAIN)
    print(f"{road} is used again on {chain.name} by what starts from now on")


@command.command("canary")
@click.option("--keystore", type=click.Path(path_type=Path), metavar="FILE", required=True, help="A keystore V3 file whose account holds gas for canaries and nothing else (`fairlead keys new canary`).")  # fmt: skip
@click.option("--password", metavar="REFERENCE", help="Its password, as env:, file:, keyring: …; without it the terminal is asked.")  # fmt: skip
@click.option("--chain", "chain_name", metavar="NAME", help="Whose roads; the chain with private relays by default.")  # fmt: skip
@click.option("--count", type=click.IntRange(1, 1000), default=20, show_default=True, help="Canaries for each road.")  # fmt: skip
@click.option("--maker", "named", multiple=True, metavar="ROAD=ADDRESS", help="The fee recipient of that builder's own blocks: a canary in anybody else's block is a leak. Again for each.")  # fmt: skip
@click.option("--live", is_flag=True, help="Really send them; the settings must say live, too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.pass_context
def canary(
    ctx: click.Context, keystore: Path, password: str | None, chain_name: str | None, count: int, named: tuple[str, ...],
    live: bool, as_json: bool,
) -> int:  # fmt: skip
    """Gives each private road transactions that no other has, and watches where they are seen; a road that tells is dropped.

    A canary is a transfer of nothing to itself. Seen in the public pool, copied, or in a block of a builder that was not given it, it
    names its road. Without --live it only says what it would cost. Ends with 4 where a road leaked.
    """
    import asyncio

    from agent.app.cli.common import load_settings

    settings = load_settings(ctx)
    chain = _chain(settings, chain_name)
    if live and not settings.live:
        raise Denied("NOT_LIVE", "the settings do not say live = true", "set it, if you mean it")
    key = _key(settings, keystore, password)
    told, most, dropped = asyncio.run(_work(settings, chain, key, count, named, live))
    caip = f"eip155:{chain.chain_id}"
    if as_json:
        emit_json(
            {"chain": caip, "sender": key.address, "live": live, "count": count, "cost_at_most_raw": str(most),
             "roads": [t.to_json() for t in told], "dropped": dropped}
        )  # fmt: skip
    else:
        header(settings.environment.value, settings.wallet.address, chain.name)
        if not live:
            print(
                f"dry run: {count} canaries for each of {len(told)} roads from {key.address}, at most {most} wei of gas; --live sends them"
            )
        rows = [
            [
                t.road,
                str(t.sent),
                str(t.landed),
                "LEAKED" if t.why else "no",
                t.why or t.error,
                dropped.get(t.road, ""),
            ]
            for t in told
        ]
        table(["road", "sent", "landed", "leaked", "why", "dropped"], rows, right=(1, 2))
        if any(t.why for t in told):
            print(
                "a dropped road is told nothing by what starts from now on; use it again: fairlead relay restore ROAD"
            )
    return LEAKED if any(t.why for t in told) else 0


def _key(settings: Settings, keystore: Path, password: str | None) -> SigningKey:
    """Raises Usage CANARY_KEY_IN_USE for a key of the wallet's; as LocalKeystore."""
    from keys.local_keystore import LocalKeystore
    from keys.secrets import ask_on_tty, resolve

    wallet = settings.wallet
    used = {
        wallet.address,
        *(o.address for o in wallet.owners),
        *([wallet.sender.address] if wallet.sender else []),
    }
    if not keystore.is_file():
        raise Usage(
            "NO_SUCH_FILE", f"--keystore: there is no file {keystore}", "make one: fairlead keys new canary"
        )
    store = LocalKeystore(keystore.parent)
    stored = store.find(str(keystore), settings.environment)
    if stored.address.lower() in {a.lower() for a in used}:
        raise Usage(
            "CANARY_KEY_IN_USE", f"{stored.address} is the wallet's, an owner's or its sender's", "use a key of its own: fairlead keys new canary"
        )  # fmt: skip
    return store.open(
        stored, resolve(password) if password else ask_on_tty(f"password of {stored.path.name}: ")
    )


async def _work(
    settings: Settings, chain: Chain, key: SigningKey, count: int, named: tuple[str, ...], live: bool
) -> tuple[tuple[RoadTold, ...], int, dict[str, str]]:
    import aiohttp

    from agent.app.canaries import Canaries
    from agent.app.canary_flight import RoadTold, afford, anywhere, fly, heads_of, makers
    from agent.app.chain_desks import relay_of
    from agent.app.endpoints import call_endpoints, open_gateways
    from agent.app.leaky_roads import LeakyRoads
    from chains import profiles
    from chains.rpc import Rpc
    from chains.types import Environment, Protection, SignedTx, UnsignedTx
    from keys.client import SignerClient
    from keys.transactions import assemble, digest

    async def sign(tx: UnsignedTx) -> SignedTx:
        return assemble(tx, key.sign(digest(tx)), key.address)

    leaky = LeakyRoads.beside(settings.journal.path)
    profile = profiles.load(chain.chain_id)
    async with (
        aiohttp.ClientSession() as session,
        SignerClient(settings.signer.socket, settings.environment) as signer,
    ):
        gateway = (await open_gateways(settings, session))[chain.chain_id]
        roads = relay_of(chain, session, signer, leaky.of(chain.chain_id))
        if roads is None or not roads.members or Protection.PRIVATE not in roads.profile.honours:
            raise Usage(
                "NO_RELAY", f"{chain.name} has no private relay left to try", "see `fairlead relay list`"
            )
        most = await afford(gateway, key.address, count * len(roads.members))
        judged_by = makers(chain, settings.environment, named)
        if not live:
            return (
                tuple(RoadTold(m.profile.name) for m in roads.members),
                most,
                dict(leaky.of(chain.chain_id)),
            )
        fast = settings.environment is not Environment.LIVE
        rpcs = [Rpc(url, session) for url in call_endpoints(chain)]
        seconds = profile.block_time_ms / 1000
        told = await fly(
            Canaries(chain.chain_id, gateway, roads, key.address, sign, judged_by), count, anywhere(rpcs),
            heads_of(gateway, 0.1 if fast else seconds / 4, seconds), lambda road, why: leaky.add(chain.chain_id, road, why), note,
        )  # fmt: skip
    return told, most, dict(leaky.of(chain.chain_id))
