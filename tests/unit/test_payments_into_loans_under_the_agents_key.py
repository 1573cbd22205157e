"""What the agent's key may pay into the Safe's own loans: granted as said, read back whole, and signed only by a listed rule within its size."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import custody as c
import pytest
from agent_calls import AGENT_JSON, GATE, ROAD, ROLES, judged, outer

from agent.app.chaos.custody.world import ETH, MULTI_SEND, USDC, WETH, scope_of
from agent.app.chaos.custody.world import POOL as AAVE
from agent.app.chaos.custody.world import ROUTER02 as ROUTER
from agent.execution.agent_batch import AgentRoad, PaymentRoad, deadline_of, pay_call
from chains import operations
from chains.devnet.artifacts import artifact
from chains.errors import Usage
from chains.types import ZERO_ADDRESS, Address, Call, Environment, Fees
from chains.userops import UserOperation
from contracts import payments
from contracts.codec import encode, interface, selector
from contracts.decode import to_leaves
from contracts.hashing import keccak
from contracts.leaves import Deployment, LoanPayment, MakerFrob, PaymentsCreated
from contracts.multisend import Part
from keys.erc4337 import Window
from keys.policy import Allowed, Refusal
from keys.policy_operations import OperationRequest, judge_operation
from keys.reading import sentences_of
from keys.safe import SafeTx
from keys.scope import batch, check, gate_address, payer_parts, payers, payment_parts, safe_tx
from keys.scope_bound import bound
from keys.scope_payments import PaymentRule
from keys.scope_state import changes, readings
from keys.scope_words import sentences
from keys.sentences import sentence

SAFE = Address("0x5aFE3855358E112B5647B952709E6165e1c1eEEe")
SCOPE = scope_of(SAFE)
COMET = Address("0xc3d688B66703497DAA19211EEdff47f25384cdc3")
MORPHO = Address("0xBBBBBbbBBb9cC5e90e3b3Af64bdAF62C37EEFFCb")
MARKET = keccak(b"a market")
REPAY = PaymentRule("compound_v3", COMET, "repay", USDC, 4_000 * 10**6, 6_000 * 10**6, 50_000 * 10**6)
ADD = PaymentRule("morpho_blue", MORPHO, "supply", WETH, ETH, 3 * ETH, 10 * ETH, MARKET)
TOO = PaymentRule("morpho_blue", MORPHO, "repay", USDC, 10**6, 2 * 10**6, 10**9, MARKET)
SPARK = Address("0xC13e21B648A5Ee794902342038FF3aDAB66BE987")
DEBT, JUG, JOIN, URN = (Address("0x" + c * 40) for c in "6789")
ILK = b"ETH-A".ljust(32, b"\0")
AT_SPARK = PaymentRule("aave_v3", SPARK, "repay", USDC, 10**9, 2 * 10**9, 10**11, account=DEBT)
WIPE = PaymentRule("maker", JOIN, "supply", WETH, ETH, 2 * ETH, 9 * ETH, ILK, URN, JUG)
PAYER = Address("0x3333333333333333333333333333333333333333")
FRONT = Address("0x4444444444444444444444444444444444444444")
PAYING: AgentRoad = replace(ROAD, payments=PaymentRoad(PAYER, FRONT))
TOLD = {
    "contract": PAYER,
    "roles": FRONT,
    "rules": [{"asset": c.USDC, "most_raw": str(4_000 * 10**6)}, {"asset": c.WETH, "most_raw": str(ETH)}],
}
NAMES = {WETH: ("WETH", 18), USDC: ("USDC", 6)}


def compiled(name: str) -> bytes:
    return bytes.fromhex(artifact(name).bytecode)


@pytest.fixture
def wide() -> Any:
    return replace(SCOPE, payments=(REPAY, ADD, TOO), payments_code=compiled("Payments"))


@pytest.fixture
def both(wide: Any) -> Any:
    return replace(wide, payments=(AT_SPARK, REPAY, WIPE, ADD), further_code=compiled("FurtherPayments"))


@pytest.fixture
def creation() -> bytes:
    return compiled("Gate")


@pytest.mark.parametrize(
    ("why", "rule"),
    [
        ("not among the tokens", replace(REPAY, asset=COMET)),
        ("another part", replace(REPAY, lender=AAVE)),
        ("another part", replace(REPAY, lender=ROUTER)),
        ("another part", replace(REPAY, lender=SAFE)),
        ("another part", replace(REPAY, lender=WETH)),
        ("another part", replace(REPAY, lender=ZERO_ADDRESS)),
        ("an id of 32 bytes", replace(REPAY, market=MARKET)),
        ("an id of 32 bytes", replace(ADD, market=bytes(32))),
        ("at_once < per_day", replace(REPAY, burst_raw=REPAY.per_day_raw + 1)),
        ("at_once < per_day", replace(REPAY, burst_raw=REPAY.per_day_raw)),
        ("at_once < per_day", replace(REPAY, burst_raw=0)),
        ("at_once < per_day", replace(REPAY, per_day_raw=1 << 128)),
        ("allowance", replace(REPAY, allowance_raw=0)),
        ("not withdraw at compound_v3", replace(REPAY, action="withdraw")),
        ("not repay at an oven", replace(REPAY, kind="an oven")),
        ("an ilk", replace(WIPE, market=bytes(32))),
        ("an urn", replace(WIPE, account=ZERO_ADDRESS)),
        ("a Jug", replace(WIPE, fees=ZERO_ADDRESS)),
        ("another part", replace(WIPE, fees=WIPE.lender)),
        ("another part", replace(WIPE, account=SCOPE.agent)),
        ("another part", replace(WIPE, account=WIPE.lender)),
        ("another part", replace(AT_SPARK, account=SAFE)),
        ("another part", replace(AT_SPARK, account=WETH)),
        ("another part", replace(AT_SPARK, lender=AAVE)),
        ("a token for what is lent", replace(AT_SPARK, account=ZERO_ADDRESS)),
        ("a token for what is lent", replace(REPAY, account=COMET)),
        ("a Jug", replace(AT_SPARK, fees=COMET)),
        ("any other none", replace(AT_SPARK, market=MARKET)),
        ("not checksummed", replace(REPAY, lender=Address(COMET.lower()))),
    ],
)
def test_a_rule_that_no_owner_should_sign_is_refused(why: str, rule: PaymentRule) -> None:
    with pytest.raises(Usage, match=why) as told:
        check(replace(SCOPE, payments=(rule,)))
    assert told.value.code == "SCOPE_INVALID" and told.value.hint


def test_rules_are_listed_once_and_no_more_than_the_contract_holds() -> None:
    check(replace(SCOPE, payments=(replace(WIPE, account=SAFE),)))  # a vault may be the Safe itself
    for rules in ((REPAY, replace(REPAY, burst_raw=1)), (REPAY,) * 33, (WIPE, WIPE)):
        with pytest.raises(Usage, match=r"twice|33 payments"):
            check(replace(SCOPE, payments=rules))


def test_allowances_of_one_token_add_up_to_what_a_token_can_hold(wide: Any) -> None:
    most = replace(wide, payments=(replace(REPAY, allowance_raw=(1 << 256) - 1 - TOO.allowance_raw), TOO))
    assert payment_parts(most, gate_address(most, compiled("Gate")))
    over = replace(most.payments[0], allowance_raw=most.payments[0].allowance_raw + 1)
    with pytest.raises(Usage, match=f"{USDC}.*together") as told:
        check(replace(most, payments=(over, TOO)))
    assert told.value.code == "SCOPE_INVALID"


def test_opened_again_it_takes_back_what_is_left_of_each_allowance_first(wide: Any, creation: bytes) -> None:
    """A token like USDT sets no allowance over one that is not zero: the owners' transaction would revert whole."""
    at = gate_address(wide, creation)
    (made,) = payers(wide, at)
    payer = made.contract
    again = [p for p in payment_parts(wide, at, {payer, made.roles}) if p.to in (USDC, WETH)]
    given = {USDC: 50_000 * 10**6 + 10**9, WETH: 10 * ETH}
    assert again == [
        Part(token, 0, encode("erc20", "approve", (payer, raw)))
        for token in given
        for raw in (0, given[token])
    ]


def test_the_grant_places_it_in_front_of_the_seal_and_reads_it_back(wide: Any, creation: bytes) -> None:
    at = gate_address(wide, creation)
    (made,) = payers(wide, at)
    payer, front = made.contract, made.roles
    plain, more = batch(SCOPE, creation), batch(wide, creation)
    added = [part for part in more if part not in plain]
    assert [p for p in more if p in plain] == list(plain), "nothing of the rest changes"
    assert added == payment_parts(wide, at) == list(more)[more.index(added[0]) :][: len(added)]
    assert more.index(added[-1]) < next(
        i for i, p in enumerate(more) if p.data[:4] == selector("gate", "seal")
    )
    assert {p.to for p in added} == {
        payments.FACTORY,
        "0x000000000000aDdB49795b0f9bA5BC298cDda236",
        front,
        payer,
        USDC,
        WETH,
    }
    given = {p.to: p.data for p in added if p.to in (USDC, WETH)}
    assert given[USDC] == encode("erc20", "approve", (payer, 50_000 * 10**6 + 10**9))
    assert given[WETH] == encode("erc20", "approve", (payer, 10 * ETH))
    allowed = [p.data for p in added if p.data[:4] == selector("zodiac_roles", "allowFunction")]
    assert allowed == [encode("zodiac_roles", "allowFunction", (bytes.fromhex(AGENT_JSON["role"][2:]), payer, selector("payments", "pay"), 0))]  # fmt: skip
    assert len(payment_parts(wide, at, {payer, front})) == len(added) - 2 + len(given), (
        "each allowance taken back first"
    )
    assert payment_parts(SCOPE, at) == []
    with pytest.raises(Usage) as told:
        batch(replace(wide, payments_code=wide.payments_code + b"\0"), creation)
    assert told.value.code == "GATE_CODE"


def test_whatever_of_it_differs_on_chain_is_named(wide: Any, creation: bytes) -> None:
    own = {r.key for r in readings(wide, creation)} - {r.key for r in readings(SCOPE, creation)}
    assert {
        "payments code",
        "payments gate",
        "payments safe",
        "payments agent",
        "payments closed",
        "payments rules",
    } < own
    wanted = tuple(r for r in readings(wide, creation) if r.key in own and r.kind != "code")
    found = {r.key: bytes(interface(r.contract).by_name[r.function][0].outputs.enc(r.wanted)) for r in wanted}
    assert changes(wanted, found) == ()
    for reading in wanted:
        other = bytearray(found[reading.key])
        other[-1 if reading.key != "payments roles members" else 95] ^= 1
        told = changes(wanted, found | {reading.key: bytes(other)})
        if reading.kind == "equal":
            assert [one.key for one in told] == [reading.key]
    over = next(r for r in wanted if r.key == "allowance USDC for payments")
    assert changes((over,), {over.key: (51_001 * 10**6).to_bytes(32, "big")})


def test_it_is_said_and_is_no_part_of_what_a_thief_takes(wide: Any, creation: bytes) -> None:
    least, more = bound(SCOPE, Decimal(3_000)), bound(wide, Decimal(3_000))
    assert (more.per_hour_usd, more.per_day_usd, more.until_lapse_usd) == (
        least.per_hour_usd,
        least.per_day_usd,
        least.until_lapse_usd,
    )
    assert dict(more.locked) == {"USDC": Decimal(6_002), "WETH": Decimal(3)} and least.locked == ()
    ceilings = dict(more.ceiling_raw)
    assert ceilings["USDC paid into loans"] == 51_000 * 10**6 and ceilings["WETH paid into loans"] == 10 * ETH
    text = "\n".join(sentences(wide, more))
    for words in (
        f"It may repay what is owed in USDC on the Safe's own account at Compound III, {COMET}: 6000 USDC in any 24 hours, of it 4000 USDC at once",
        f"It may add collateral of WETH on the Safe's own account at Morpho Blue, {MORPHO} in the market 0x{MARKET.hex()}",
        "a thief extracts nothing; he can lock up at most 6002 USDC and 3 WETH in any 24 hours",
    ):
        assert words in text, text
    seen = "\n".join(sentences_of(1, SAFE, safe_tx(wide, creation, MULTI_SEND, 3), NAMES, b""))
    assert "NOT UNDERSTOOD" not in seen and "NOT KNOWN HERE" not in seen
    for words in (
        f"(0) repay USDC at Compound III {COMET}, at most 4000 USDC at once, and 2000 USDC a day come back to that",
        f"(1) supply WETH at Morpho Blue morpho blue ({MORPHO}) market 0x{MARKET.hex()}, at most 1 WETH at once",
        "may call pay (0x60a27e3b) of what pays into its loans",
        "may pay by its rules, at once while its Gate is not sealed",
    ):
        assert words in seen, seen
    closing = SafeTx(PAYER, 0, encode("payments", "close", ()), 0, 3)
    assert "pays nothing any more" in "\n".join(sentences_of(1, SAFE, closing, NAMES, creation))


def test_further_lenders_have_a_contract_of_their_own_beside_it(both: Any, creation: bytes) -> None:
    """Rules of both in one table: numbered within their contract, granted, read back, said and signed apart."""
    at = gate_address(both, creation)
    first, further = payers(both, at)
    assert (first.rules, further.rules) == ((REPAY, ADD), (AT_SPARK, WIPE))
    alone = replace(both, payments=(REPAY, ADD))
    assert payers(alone, at) == (first,), "what one holds does not move the other"
    mine = payer_parts(both, at, further, {first.contract})
    assert payment_parts(both, at) == payer_parts(both, at, first) + mine
    assert {p.to: p.data for p in mine if p.to in (USDC, WETH)} == {
        USDC: encode("erc20", "approve", (further.contract, AT_SPARK.allowance_raw)),
        WETH: encode("erc20", "approve", (further.contract, WIPE.allowance_raw)),
    }
    told = {r.key: r for r in readings(both, creation)}
    rule = told["further payment 1 (supply WETH)"]
    assert rule.contract == "further_payments" and rule.wanted[0] == WIPE.on_chain
    assert told["further payments code"].wanted != told["payments code"].wanted
    text = "\n".join(sentences(both, bound(both, Decimal(3_000))))
    assert f"at the pool of Aave V3's kind, {SPARK}: 2000 USDC in any 24 hours" in text
    assert f"at Maker, {URN}, a vault of ETH-A paid through {JOIN}" in text
    assert "he can lock up at most 8000 USDC and 5 WETH in any 24 hours" in text
    seen = "\n".join(sentences_of(1, SAFE, safe_tx(both, creation, MULTI_SEND, 3), NAMES, b""))
    assert "NOT UNDERSTOOD" not in seen and "UNKNOWN HERE" not in seen, seen
    assert (
        f"(0) repay USDC at the pool of Aave V3's kind aave v3 pool ({SPARK}), counted by its token {DEBT}"
        in seen
    )
    assert f"(1) supply WETH at Maker {JOIN}, the ETH-A vault {URN}, whose fee {JUG} accrues" in seen


def test_no_vault_is_called_the_safes_own(both: Any, creation: bytes) -> None:
    """The chain does not tell whose a vault is: who has the owners sign for his own would else be told by us that it is theirs."""
    said = sentences(both, bound(both, Decimal(3_000)))
    (rule,) = [s for s in said if s.startswith("It may add collateral of WETH at Maker")]
    assert "Safe's own account" not in rule
    assert sum(f"Whose the vault {URN} at Maker is" in s for s in said) == 1
    assert any("a thief extracts nothing, where each of these vaults is the Safe's;" in s for s in said)
    made = [
        s for s in sentences_of(1, SAFE, safe_tx(both, creation, MULTI_SEND, 3), NAMES, b"") if "Creates" in s
    ]
    (further,) = [s for s in made if URN in s]
    assert "WHOSE A VAULT AT MAKER IS, NOTHING HERE TELLS" in further
    assert all("WHOSE A VAULT" not in s for s in made if s != further)
    alone = replace(both, payments=(AT_SPARK, REPAY, ADD))
    assert not any("vault" in s.lower() for s in sentences(alone, bound(alone, Decimal(3_000))))


@pytest.mark.parametrize(
    "word", [b"\r\x1b[1A\x1b[2K", b"ETH-A, YOUR OWN", "ΕTH-A".encode(), b"\0ETH-A", b"ETH-A\0B"]
)
def test_an_ilk_that_would_speak_to_the_terminal_is_shown_in_hex(
    both: Any, creation: bytes, word: bytes
) -> None:
    other = replace(WIPE, market=word.ljust(32, b"\0"))
    scope = replace(both, payments=(other,))
    seen = "\n".join(sentences_of(1, SAFE, safe_tx(scope, creation, MULTI_SEND, 3), NAMES, b""))
    asked = sentence(
        MakerFrob("1", Address("0x" + "35" * 20), other.market, URN, SAFE, SAFE, 1, 0), SAFE, NAMES
    )
    for said in (seen, asked, "\n".join(sentences(scope, bound(scope, Decimal(3_000))))):
        assert f"0x{other.market.hex()}" in said
        assert all(c.isascii() and (c.isprintable() or c == "\n") for c in said) and "OWN paid" not in said


def test_the_signer_signs_by_the_further_rules_only_through_their_own_modifier() -> None:
    other, its = Address("0x" + "12" * 20), Address("0x" + "34" * 20)
    road = replace(PAYING, further_payments=PaymentRoad(other, its))
    further = {"contract": other, "roles": its, "rules": [{"asset": c.WETH, "most_raw": "7"}]}
    knows = c.settings(agent=AGENT_JSON | {"payments": TOLD, "further_payments": further})
    assert isinstance(judged(outer(pay_call(road, 0, 7, c.DEADLINE, "further_payments")), knows), Allowed)
    refused(pay_call(road, 0, 8, c.DEADLINE, "further_payments"), "amount", knows)
    refused(pay_call(road, 1, 1, c.DEADLINE, "further_payments"), "agent-payment", knows)
    refused(replace(pay_call(road, 0, 1, c.DEADLINE), to=its), "unknown-call", knows)
    with pytest.raises(Usage, match=r"further_payments.contract"):
        c.settings(agent=AGENT_JSON | {"payments": TOLD, "further_payments": further | {"contract": PAYER}})


def test_creation_code_with_other_arguments_is_not_taken_for_it(wide: Any, creation: bytes) -> None:
    at = gate_address(wide, creation)
    data = payments.creating(wide.payments_code, at, [r.on_chain for r in wide.payments])

    def leaf(told: bytes) -> Any:
        (found,) = to_leaves(Part(payments.FACTORY, 0, told), {payments.FACTORY: "singleton_factory"})
        return found

    made = leaf(data)
    assert isinstance(made, PaymentsCreated) and made.gate == at and len(made.rules) == 3
    assert made.address == payers(wide, at)[0].contract and made.rules[1]["market"] == MARKET
    dirty = bytearray(data)
    dirty[len(data) - 3 * 224 - 96] ^= 1  # above the 160 bits of the Gate's address
    for other in (bytes(dirty), data + bytes(32), data[:-1], data[: -3 * 224]):
        told = leaf(other)
        assert isinstance(told, Deployment) and told.what == "", "said to be unknown"


# ------------------------------------------------------------------ the signer


def settings(environment: Environment = Environment.DEVNET, **told: Any) -> Any:
    return c.settings(environment, agent=AGENT_JSON | {"payments": TOLD | told})


def refused(call: Call, rule: str, with_: Any = None) -> None:
    verdict = judged(outer(call), with_ or settings())
    assert isinstance(verdict, Refusal) and verdict.rule == rule and verdict.remedy, verdict


@pytest.mark.parametrize("environment", [Environment.DEVNET, Environment.LIVE])
def test_a_listed_payment_is_signed_whatever_the_caps_say(environment: Environment) -> None:
    full = c.EmptyLedger()
    full.spends[c.USDC] = 10**30
    call = pay_call(PAYING, 0, 4_000 * 10**6, c.DEADLINE)
    assert deadline_of(call.data) == c.DEADLINE
    verdict = judged(outer(call), settings(environment), full)
    assert isinstance(verdict, Allowed) and not verdict.spend and verdict.deadline == c.DEADLINE
    leaf = verdict.leaves[-1]
    assert isinstance(leaf, LoanPayment) and (leaf.rule, leaf.amount) == (0, 4_000 * 10**6)


def test_anything_else_is_refused_by_its_rule() -> None:
    refused(pay_call(PAYING, 2, 1, c.DEADLINE), "agent-payment")
    refused(pay_call(PAYING, 0, 4_000 * 10**6 + 1, c.DEADLINE), "amount")
    refused(pay_call(PAYING, 1, 0, c.DEADLINE), "amount")
    refused(pay_call(PAYING, 0, 1, c.NOW - 1), "deadline")
    refused(pay_call(PAYING, 0, 1, c.NOW + 10**6), "deadline-too-far")
    other = "0x5555555555555555555555555555555555555555"
    rules = [{"asset": other, "most_raw": "9"}]
    refused(pay_call(PAYING, 0, 1, c.DEADLINE), "token", settings(rules=rules))
    refused(replace(pay_call(PAYING, 0, 1, c.DEADLINE), value=1), "outer-value")


def through(
    to: str, inner: bytes, *, op: int = 0, value: int = 0, role: bytes = ROAD.role, hides: bool = False
) -> Call:
    data = encode("zodiac_roles", "execTransactionWithRole", (to, value, inner, op, role, not hides))
    return Call(FRONT, data)


PAY = encode("payments", "pay", (0, 1, c.DEADLINE))


@pytest.mark.parametrize(
    ("name", "call", "rule"),
    [
        ("the lender itself", through(COMET, encode("comet", "supply", (c.USDC, 1))), "unknown-call"),
        ("the token", through(c.USDC, encode("erc20", "transfer", (c.SAFE, 1))), "unknown-call"),
        ("opening", through(PAYER, encode("payments", "open", (c.SAFE,))), "unknown-call"),
        ("closing", through(PAYER, encode("payments", "close", ())), "unknown-call"),
        ("as a module", through(PAYER, encode("payments", "execTransactionFromModule", (c.USDC, 0, b"", 0))), "unknown-call"),
        ("trailing bytes", through(PAYER, PAY + b"\0"), "unknown-call"),
        ("a delegatecall", through(PAYER, PAY, op=1), "unknown-call"),
        ("ether", through(PAYER, PAY, value=1), "unknown-call"),
        ("another role", through(PAYER, PAY, role=bytes(32)), "agent-role"),
        ("a hidden failure", through(PAYER, PAY, hides=True), "agent-revert"),
        ("the Gate behind it", through(GATE, encode("gate", "lend", (8, c.USDC, 1, c.DEADLINE))), "unknown-call"),
        ("by the Gate's modifier", replace(through(PAYER, PAY), to=ROLES), "unknown-call"),
        ("its own modifier's settings", Call(FRONT, encode("zodiac_roles", "setTarget", (c.SAFE,))), "unknown-call"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)  # fmt: skip
def test_nothing_else_goes_through_that_modifier(name: str, call: Call, rule: str) -> None:
    refused(call, rule)


def test_without_a_word_in_the_settings_none_is_signed() -> None:
    verdict = judged(outer(pay_call(PAYING, 0, 1, c.DEADLINE)), c.settings(agent=AGENT_JSON))
    assert isinstance(verdict, Refusal) and verdict.rule == "agent-road"


@pytest.mark.parametrize(
    ("told", "named"),
    [
        ({"roles": ROLES}, "payments.roles"),
        ({"contract": GATE}, "payments.contract"),
        ({"contract": FRONT}, "payments.contract"),
        ({"contract": c.USDC}, "payments.contract"),
        ({"rules": [{"asset": c.USDC}]}, "most_raw"),
        ({"rules": [{"asset": c.USDC, "most_raw": "-1"}]}, "most_raw"),
        ({"rules": "all"}, "rules"),
        ({"rule": []}, "rule"),
    ],
)
def test_settings_that_cannot_be_meant_are_named(told: dict[str, Any], named: str) -> None:
    with pytest.raises(Usage, match=named):
        settings(**told)


def test_an_account_behind_erc_4337_pays_within_its_window() -> None:
    account = Address("0x6666666666666666666666666666666666666666")
    told = c.settings(agent=AGENT_JSON | {"payments": TOLD, "account": account, "key": AGENT_JSON["account"]})
    data = operations.executing(pay_call(PAYING, 1, ETH, c.DEADLINE))
    op = UserOperation(account, operations.keyed(7), data, 600_000, 200_000, 80_000, Fees(30 * 10**9, 10**9))
    request = OperationRequest(told.environment, 1, op, Window(c.DEADLINE), c.NOW, c.NOW)
    assert isinstance(judge_operation(request, told, c.EmptyLedger()), Allowed)
    late = judge_operation(replace(request, window=Window(c.DEADLINE + 1)), told, c.EmptyLedger())
    assert isinstance(late, Refusal) and late.rule == "operation-window"
