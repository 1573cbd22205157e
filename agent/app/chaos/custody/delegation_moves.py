"""EIP-7702: the agent's account told to run the thief's code, on every chain at once; and an owner's word for another chain, carried here."""

from __future__ import annotations

from dataclasses import replace

from agent.app.chaos.custody.attack import as_thief
from agent.app.chaos.custody.hook_attacks import PUPPET, as_agent
from agent.app.chaos.custody.moves import Move, Room
from agent.app.chaos.custody.world import AGENT, AGENT_SECRET, ETH, OWNERS, THIEF, Gated
from chains.devnet.funding import give_eth
from chains.devnet.jsonrpc import Rpc
from chains.devnet.solidity import rehearsal
from chains.errors import Halt
from chains.types import ZERO_ADDRESS, Address, Environment, Fees, UnsignedTx
from contracts.hashing import keccak
from keys.curve import SigningKey
from keys.delegations import Authorization, SignedAuthorization, preimage, sign_set_code
from keys.keystore import KeystoreSigner
from keys.policy_settings import ChainPolicy

FAMILY = "code for an account"
EVERYWHERE, BASE = 0, 8453
FEES = Fees(20 * 10**9, 10**9)
CARRIER = KeystoreSigner(SigningKey(keccak(b"the thief's carrier")), Environment.DEVNET)


def _stands(room: Room) -> None:
    w = room.gate
    w.rpc("anvil_setCode", PUPPET, "0x" + rehearsal("HostileHook.sol", "Puppet")["runtime"])
    w.rpc("anvil_impersonateAccount", THIEF)
    for who in (CARRIER.address, THIEF):
        give_eth(w.url, who, ETH)


def _told(key: SigningKey, chain_id: int, nonce: int) -> SignedAuthorization:
    """What the thief has, or was given: no policy of ours signs it."""
    auth = Authorization(chain_id, PUPPET, nonce)
    return SignedAuthorization(auth, key.sign(keccak(preimage(auth))))


def _carried(rpc: Rpc, chain_id: int, told: SignedAuthorization) -> str:
    """In a transaction of the thief's own; the code of whoever was told, afterwards."""
    nonce = int(rpc("eth_getTransactionCount", CARRIER.address, "latest"), 16)
    tx = UnsignedTx(chain_id, nonce, CARRIER.address, 0, b"", 200_000, FEES)
    anything = ChainPolicy(
        told.authorization.chain_id, CARRIER.address, frozenset(), 1, {}, frozenset(), {}, ZERO_ADDRESS,
        delegates=frozenset({PUPPET}),
    )  # fmt: skip
    rpc.mined(rpc("eth_sendRawTransaction", "0x" + sign_set_code(CARRIER, tx, [told], anything).raw.hex()))
    code = str(rpc("eth_getCode", told.account, "latest"))
    return "runs no code" if code == "0x" else f"runs {code}"


def _agent_everywhere(room: Room) -> str:
    """One signature, every chain: with it anybody may act as the agent's account, and has what the role has."""
    w, key = room.gate, SigningKey(AGENT_SECRET)
    said = []
    for chain_id in (1, BASE):
        with Rpc(w.urls[chain_id]) as rpc:
            give_eth(w.urls[chain_id], CARRIER.address, ETH)
            nonce = int(rpc("eth_getTransactionCount", AGENT, "latest"), 16)
            said.append(_carried(rpc, chain_id, _told(key, EVERYWHERE, nonce)))
    if not all(PUPPET[2:].lower() in code for code in said):
        raise Halt("CHAOS_WORLD", f"the agent's account does not run the thief's code: {said}")
    _as_anybody(w)
    return "anybody traded as the agent, once, honestly"


def _as_anybody(w: Gated) -> None:
    call = w.through(w.trade(ETH))
    as_thief(w, AGENT, as_agent(call.to, call.data))


def _owner_of_elsewhere(room: Room) -> str:
    w, owner = room.gate, OWNERS[0]
    nonce = int(w.rpc("eth_getTransactionCount", owner.address, "latest"), 16)
    return _carried(w.rpc, 1, _told(owner, BASE, nonce))


def _owner_bent(room: Room) -> str:
    """An owner's word for this chain with its delegate exchanged: it is somebody else's then, who is nobody."""
    w, owner = room.gate, OWNERS[0]
    nonce = int(w.rpc("eth_getTransactionCount", owner.address, "latest"), 16)
    honest = Authorization(1, Address(w.gate), nonce)
    bent = SignedAuthorization(replace(honest, delegate=PUPPET), owner.sign(keccak(preimage(honest))))
    _carried(w.rpc, 1, bent)
    code = str(w.rpc("eth_getCode", owner.address, "latest"))
    return "runs no code" if code == "0x" else f"runs {code}"


def moves() -> list[Move]:
    return [
        Move(FAMILY, "the agent's account, by one word for every chain", _agent_everywhere, "", _stands, repelled=False),
        Move(FAMILY, "an owner's word for another chain", _owner_of_elsewhere, "runs no code", _stands),
        Move(FAMILY, "an owner's word with other code put into it", _owner_bent, "runs no code", _stands),
    ]  # fmt: skip
