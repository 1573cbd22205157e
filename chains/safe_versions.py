"""Safe's official releases as data: where their contracts stand, on every chain that has them. Pure.

Hashes, calls and storage that Fairlead uses are the same in all of them; what differs is said where it matters (`keys.safe_signatures`:
what an owner that is a contract is handed). A Safe made before 1.3.0 signs another domain, and is refused by name.
Source: the Safe deployments' registry; 1.3.0 has two sets, by Arachnid's deployment proxy ("canonical") and, for chains that take
EIP-155 transactions only, by Safe's singleton factory, which is everybody's factory from 1.4.1 on. Each address is the CREATE2 of the
publisher's package (salt zero): the devnet puts them there that way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chains.errors import Usage
from chains.types import Address

SINGLETON_FACTORY = Address("0x914d7Fec6aaC8cd542e72Bca78B30650d45643d7")
CREATE2_PROXY = Address("0x4e59b44847b379578588920cA78FbF26c0B4956C")


@dataclass(frozen=True, slots=True)
class SafeRelease:
    """`safe_l2` emits an event for every call, for indexers; in everything else it is `safe`. `deployer` made all of them.

    The three codes are keccak256 of the runtime code, in hex: of both singletons, and of the proxies the factory makes.
    """

    version: str
    deployer: Address
    safe: Address
    safe_l2: Address
    proxy_factory: Address
    fallback_handler: Address
    multi_send: Address
    multi_send_call_only: Address
    safe_code: str
    safe_l2_code: str
    proxy_code: str

    @property
    def canonical(self) -> bool:
        """Of a version with two sets, the first."""
        return next(r for r in RELEASES if r.version == self.version) is self


RELEASES = (
    SafeRelease(
        "1.3.0",
        CREATE2_PROXY,
        safe=Address("0xd9Db270c1B5E3Bd161E8c8503c55cEABeE709552"),
        safe_l2=Address("0x3E5c63644E683549055b9Be8653de26E0B4CD36E"),
        proxy_factory=Address("0xa6B71E26C5e0845f74c812102Ca7114b6a896AB2"),
        fallback_handler=Address("0xf48f2B2d2a534e402487b3ee7C18c33Aec0Fe5e4"),
        multi_send=Address("0xA238CBeb142c10Ef7Ad8442C6D1f9E89e07e7761"),
        multi_send_call_only=Address("0x40A2aCCbd92BCA938b02010E17A5b8929b49130D"),
        safe_code="0xbba688fbdb21ad2bb58bc320638b43d94e7d100f6f3ebaab0a4e4de6304b1c2e",
        safe_l2_code="0x21842597390c4c6e3c1239e434a682b054bd9548eee5e9b1d6a4482731023c0f",
        proxy_code="0xb89c1b3bdf2cf8827818646bce9a8f6e372885f8c55e5c07acbd307cb133b000",
    ),
    SafeRelease(
        "1.3.0",
        SINGLETON_FACTORY,
        safe=Address("0x69f4D1788e39c87893C980c06EdF4b7f686e2938"),
        safe_l2=Address("0xfb1bffC9d739B8D520DaF37dF666da4C687191EA"),
        proxy_factory=Address("0xC22834581EbC8527d974F8a1c97E1bEA4EF910BC"),
        fallback_handler=Address("0x017062a1dE2FE6b99BE3d9d37841FeD19F573804"),
        multi_send=Address("0x998739BFdAAdde7C933B942a68053933098f9EDa"),
        multi_send_call_only=Address("0xA1dabEF33b3B82c7814B6D82A79e50F4AC44102B"),
        safe_code="0xbba688fbdb21ad2bb58bc320638b43d94e7d100f6f3ebaab0a4e4de6304b1c2e",
        safe_l2_code="0x21842597390c4c6e3c1239e434a682b054bd9548eee5e9b1d6a4482731023c0f",
        proxy_code="0xb89c1b3bdf2cf8827818646bce9a8f6e372885f8c55e5c07acbd307cb133b000",
    ),
    SafeRelease(
        "1.4.1",
        SINGLETON_FACTORY,
        safe=Address("0x41675C099F32341bf84BFc5382aF534df5C7461a"),
        safe_l2=Address("0x29fcB43b46531BcA003ddC8FCB67FFE91900C762"),
        proxy_factory=Address("0x4e1DCf7AD4e460CfD30791CCC4F9c8a4f820ec67"),
        fallback_handler=Address("0xfd0732Dc9E303f09fCEf3a7388Ad10A83459Ec99"),
        multi_send=Address("0x38869bf66a61cF6bDB996A6aE40D5853Fd43B526"),
        multi_send_call_only=Address("0x9641d764fc13c8B624c04430C7356C1C7C8102e2"),
        safe_code="0x1fe2df852ba3299d6534ef416eefa406e56ced995bca886ab7a553e6d0c5e1c4",
        safe_l2_code="0xb1f926978a0f44a2c0ec8fe822418ae969bd8c3f18d61e5103100339894f81ff",
        proxy_code="0xd7d408ebcd99b2b70be43e20253d6d92a8ea8fab29bd3be7f55b10032331fb4c",
    ),
    SafeRelease(
        "1.5.0",
        SINGLETON_FACTORY,
        safe=Address("0xFf51A5898e281Db6DfC7855790607438dF2ca44b"),
        safe_l2=Address("0xEdd160fEBBD92E350D4D398fb636302fccd67C7e"),
        proxy_factory=Address("0x14F2982D601c9458F93bd70B218933A6f8165e7b"),
        fallback_handler=Address("0x3EfCBb83A4A7AfcB4F68D501E2c2203a38be77f4"),
        multi_send=Address("0x218543288004CD07832472D464648173c77D7eB7"),
        multi_send_call_only=Address("0xA83c336B20401Af773B6219BA5027174338D1836"),
        safe_code="0xdda019cbd7c867a533a2a86e5c53434fdc50b13122b5a5ddb4a8df61b31c20f2",
        safe_l2_code="0x180193227186ccb85316c94db1f0d156ed932b14712cfaac78901899178572dc",
        proxy_code="0x4e381985ca68b3e5d27b4425fa581c19cf33146d3f887a3cfca96f55528ea46f",
    ),
)
VERSIONS = tuple(dict.fromkeys(r.version for r in RELEASES))
SINGLETONS: Mapping[Address, str] = {r.safe: r.version for r in RELEASES} | {
    r.safe_l2: f"{r.version}+L2" for r in RELEASES
}
"""By singleton: the version as VERSION() tells it, "+L2" behind it where it is the one with events."""
PROXY_CODES: Mapping[str, str] = {r.proxy_code: r.version for r in RELEASES}
"""By code hash of a proxy: whose factory made it. A Safe keeps its proxy where it moves to another singleton."""


def code_of(singleton: str) -> str:
    """The hash that a singleton's runtime code has to have; empty where the singleton is none of the releases'."""
    found = release_of(singleton)
    return "" if found is None else found.safe_code if singleton == found.safe else found.safe_l2_code


def release(version: str) -> SafeRelease:
    """The first set of a version. Raises Usage SAFE_VERSION_UNKNOWN."""
    for found in RELEASES:
        if found.version == version:
            return found
    raise Usage(
        "SAFE_VERSION_UNKNOWN",
        f"Safe {version[:20]} is none of the releases known here",
        f"there are {', '.join(VERSIONS)}",
    )


def release_of(singleton: str) -> SafeRelease | None:
    return next((r for r in RELEASES if singleton in (r.safe, r.safe_l2)), None)
