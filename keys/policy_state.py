"""What a batch did so far: allowances, what a router holds, what leaves the wallet; and the rules of moving money. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from contracts.universal_router import ADDRESS_THIS, CONTRACT_BALANCE, MSG_SENDER
from keys.policy_settings import NATIVE, ChainPolicy

MAX_UINT = (1 << 256) - 1


class Refused(Exception):
    """A rule said no; the judge turns it into a Refusal."""

    def __init__(self, rule: str, what: str, remedy: str) -> None:
        super().__init__(rule)
        self.rule, self.what, self.remedy = rule, what, remedy


class Flow:
    """State of one batch. None as an amount: some, but how much is known only after execution.

    `funded` is what a router was given before its call, `paid` which tokens the wallet is paid by routers.
    """

    def __init__(self, policy: ChainPolicy, now: int, funded: Mapping[str, int] | None = None) -> None:
        self.policy, self.now = policy, now
        self.funded: dict[str, int] = dict(funded or {})
        self.paid: set[str] = set()
        self.spend: dict[str, int] = {}
        self.allowances: dict[tuple[str, str], int | None] = {}
        self.permits: dict[tuple[str, str], int | None] = {}
        self.expirations: list[tuple[str, int]] = []
        self.deadlines: list[int] = []
        self.held: dict[str, int | None] = {}
        self.unbounded: set[str] = set()
        self.router = ""
        self.harmless = True

    @property
    def deadline(self) -> int:
        """The last second this batch can execute in, 0 when it carries no deadline."""
        return min(self.deadlines, default=0)

    def token(self, token: str, path: str) -> None:
        if token not in self.policy.tokens and not (
            token == NATIVE and self.policy.weth in self.policy.tokens
        ):
            raise Refused(
                "token",
                f"{path}: {token} is not a listed token",
                "List the token with its caps in the settings.",
            )

    def leave(self, token: str, amount: int, path: str) -> None:
        if token not in self.policy.tokens:
            raise Refused(
                "token", f"{path}: {token} may not be spent", "List the token with its caps in the settings."
            )
        if not 0 < amount < MAX_UINT:
            raise Refused(
                "amount", f"{path}: an amount of {amount}", "Every amount is explicit and above zero."
            )
        self.spend[token] = self.spend.get(token, 0) + amount

    def dated(self, deadline: int | None, path: str) -> None:
        if deadline is None:
            raise Refused(
                "deadline", f"{path} carries no deadline", "Use the form of the call that takes one."
            )
        if deadline < self.now:
            raise Refused(
                "deadline", f"{path}: the deadline {deadline} has passed ({self.now})", "Quote again."
            )
        if deadline > self.now + self.policy.max_deadline_s:
            raise Refused(
                "deadline-too-far",
                f"{path}: the deadline is {deadline - self.now} s away",
                f"At most {self.policy.max_deadline_s} s: a signature lives as long as its deadline.",
            )
        self.deadlines.append(deadline)

    def consume(
        self,
        table: dict[tuple[str, str], int | None],
        key: tuple[str, str],
        amount: int,
        exact: bool,
        path: str,
    ) -> None:
        granted = table.get(key, 0)
        if granted is None or granted < amount:
            raise Refused(
                "allowance-missing",
                f"{path}: {key[1]} pulls {amount} of {key[0]}, {granted} was approved in this batch",
                "Approve exactly the amount, before the call, in the same batch.",
            )
        table[key] = granted - amount if exact else None

    def pull(self, token: str, amount: int, target: str, via_permit2: bool, exact: bool, path: str) -> None:
        """Tokens leave the wallet through an allowance."""
        self.leave(token, amount, path)
        if via_permit2:
            permit2 = next((a for a, k in self.policy.contracts.items() if k == "permit2"), "")
            self.consume(self.permits, (token, target), amount, exact, path)
            self.consume(self.allowances, (token, permit2), amount, exact, path)
        else:
            self.consume(self.allowances, (token, target), amount, exact, path)

    def give(self, recipient: str, token: str, amount: int | None, path: str) -> None:
        """Where a router's output goes: the wallet, or the router itself for the next command."""
        if self.router:
            if recipient == MSG_SENDER:
                recipient = self.policy.safe
            elif recipient == ADDRESS_THIS:
                before = self.held.get(token, 0)
                self.held[token] = None if before is None or amount is None else before + amount
                return
        if recipient != self.policy.safe:
            raise Refused(
                "recipient",
                f"{path} pays {token} to {recipient}",
                f"Everything is paid to the wallet {self.policy.safe}.",
            )
        self.paid.add(token)

    def use_held(self, token: str, amount: int, exact: bool, path: str) -> None:
        """Spends what the router holds; CONTRACT_BALANCE means all of it."""
        held = self.held.get(token, 0)
        if amount == CONTRACT_BALANCE:
            if held == 0:
                raise Refused(
                    "router-balance",
                    f"{path} spends {token} the router does not hold",
                    "Fund the router in this batch.",
                )
            self.held[token] = 0
        elif held is None:
            pass
        elif held < amount:
            raise Refused(
                "router-balance",
                f"{path} spends {amount} of {token}, the router holds {held}",
                "Fund it in this batch.",
            )
        else:
            self.held[token] = held - amount if exact else None

    def take_all(self, token: str, path: str) -> int | None:
        held = self.held.get(token, 0)
        self.held[token] = 0
        return held
