"""The Safe's own signature of an order that others settle: judged by the signer from its fields, checked on this machine before it leaves.

The UID is computed here and is what the order is known by from then on; the settlement contract's own domain and the Safe's own answer
(EIP-1271) are asked of the local node first. A presigned order is judged the same way, and said yes to on chain with its allowance.
Under the agent's key the order belongs to the Gate's Offers contract, and its "signature" is the token by which Offers knows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from agent.domain.errors import Denied, Halt
from agent.domain.events import Authorized, Simulated
from agent.execution import agent_offers
from agent.execution.authority import NO_WALLET_NONCE, ChainAuthority
from agent.execution.offers import check_offer
from agent.ports import Clock
from chains.types import ZERO_ADDRESS, Address, Call, CowOrder, Hash32, Protection
from contracts import offers
from contracts.codec import decode_result, encode
from keys import cow_order
from keys.safe_messages import MAGIC


class OrderSignatures(Protocol):
    """Has an order judged by the signer and, where `signed`, collects the threshold of owners' signatures. Raises Denied."""

    async def sign_order(self, order: CowOrder, now_s: int, *, signed: bool) -> Mapping[Address, bytes]: ...


class OfferAuthority:
    """Implements `agent.execution.authority.OfferAuthorizer`."""

    def __init__(self, clock: Clock, chains: Mapping[int, ChainAuthority], owners: OrderSignatures) -> None:
        self._clock, self._chains, self._owners = clock, chains, owners

    async def authorize(self, simulated: Simulated) -> Authorized:
        offer, part = simulated.offer, simulated.part
        assert offer is not None
        order = offer.order
        chain = self._chains[order.chain_id]
        check_offer(part, order, chain.wallet, chain.agent_offers)
        await self._check_domain(chain, order)
        if chain.agent_offers is not None:
            signature = await self._by_agent(chain, order)
        else:
            signature = await self._by_owners(chain, order, offer.scheme)
        return Authorized(
            part=part,
            order=None,
            chain_id=order.chain_id,
            sender=ZERO_ADDRESS,
            nonce=0,
            wallet_nonce=NO_WALLET_NONCE,
            tx_hash=Hash32(""),
            raw=signature,
            request_digest=cow_order.uid(order),
            protection=Protection.INTENT,
            max_block=0,
            deadline_s=order.valid_to,
            floor_raw=order.buy_raw,
            at_ns=self._clock.now_ns(),
            offer=offer,
        )

    async def _by_owners(self, chain: ChainAuthority, order: CowOrder, scheme: str) -> bytes:
        head = await chain.gateway.block("latest")
        by_owner = await self._owners.sign_order(order, head.timestamp, signed=scheme == "eip1271")
        if scheme != "eip1271":
            return b""
        signature = cow_order.safe_signature(order, by_owner.values(), chain.owners, chain.threshold)
        await self._check_answer(chain, order, signature)
        return signature

    async def _by_agent(self, chain: ChainAuthority, order: CowOrder) -> bytes:
        """Nobody signs: the signer judges the Gate's call that opens it, field by field. That Offers makes the very order that is posted
        of those fields is asked of it here. Raises Halt OFFER_DIFFERS."""
        answer = await chain.local.call_here(agent_offers.digest_asked(order))
        if answer != cow_order.digest(order):
            raise Halt(
                "OFFER_DIFFERS",
                f"{order.owner} makes another order of these fields than Fairlead",
                "it is not the Offers contract of the agent's Gate; run `fairlead wallet audit`",
            )
        return offers.signature(order.sell_token)

    async def _check_domain(self, chain: ChainAuthority, order: CowOrder) -> None:
        """Raises Halt COW_DOMAIN_DIFFERS: what signs there is not what the chain's profile says."""
        answer = await chain.local.call_here(
            Call(order.settlement, encode("gpv2_settlement", "domainSeparator"))
        )
        if decode_result("gpv2_settlement", "domainSeparator", answer)[0] != cow_order.domain_separator(
            order.chain_id, order.settlement
        ):
            raise Halt(
                "COW_DOMAIN_DIFFERS",
                f"the settlement contract {order.settlement} has another signing domain than Fairlead computes",
                "the chain's profile or its node is wrong; run `fairlead doctor`",
            )

    async def _check_answer(self, chain: ChainAuthority, order: CowOrder, signature: bytes) -> None:
        asked = encode("safe", "isValidSignature", (cow_order.digest(order), signature))
        answer = await chain.local.call_here(Call(chain.wallet, asked))
        if answer[:4] != MAGIC:
            raise Denied(
                "SAFE_DOES_NOT_ANSWER",
                f"the Safe {chain.wallet} does not answer for its owners' signatures (EIP-1271)",
                'give it the compatibility fallback handler, or scheme = "presign"',
            )
