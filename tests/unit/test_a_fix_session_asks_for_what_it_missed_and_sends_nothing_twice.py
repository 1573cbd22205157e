"""The session's rules, message by message and second by second; no socket and no clock."""

from __future__ import annotations

from pathlib import Path

import pytest
from fix_peer import AT_NS, delivered, logged_on, message, over, sent, session

from agent.domain.errors import Halt, Usage
from agent.transport.fix.message import Garbled
from agent.transport.fix.numbers import FileNumbers, Numbers
from agent.transport.fix.rules import State, Up

REPORT = ((37, "1"),)


def test_a_log_on_brings_it_up_and_a_refusal_says_why() -> None:
    made = session(resets=True)
    assert made.begin(0.0) == 1
    made.logon([(98, "0"), (108, "30")], AT_NS)
    assert made.receive(message("A", 1, (98, "0"), (108, "10")), 0.1, AT_NS) == [Up()]
    assert made.heartbeat_s == 10 and made.ready
    for kind in ("3", "5"):
        made = session()
        made.begin(0.0)
        made.logon([], AT_NS)
        (step,) = made.receive(message(kind, 1, (58, "Signature problem")), 0.1, AT_NS)
        assert "Signature problem" in over([step]) and step.refused and made.state is State.DOWN  # type: ignore[union-attr]


def test_a_gap_is_asked_for_and_delivered_in_order_once() -> None:
    made = logged_on()
    steps = made.receive(message("8", 4, *REPORT), 1.0, AT_NS)
    (ask,) = sent(steps)
    assert (ask.kind, ask.get(7), ask.get(16)) == ("2", "2", "0") and delivered(steps) == []
    assert sent(made.receive(message("8", 5, *REPORT), 1.1, AT_NS)) == []  # asked already
    assert delivered(made.receive(message("8", 2, (43, "Y"), *REPORT), 1.2, AT_NS)) == [2]
    assert delivered(made.receive(message("8", 3, (43, "Y"), *REPORT), 1.3, AT_NS)) == [3, 4, 5]
    for again in (4, 5):
        assert made.receive(message("8", again, (43, "Y"), *REPORT), 1.4, AT_NS) == []
    assert made.duplicates == 2 and made.numbers.next_in == 6


def test_a_gap_at_the_log_on_is_asked_for_too() -> None:
    made = session()
    made.begin(0.0)
    made.logon([], AT_NS)
    steps = made.receive(message("A", 7, (108, "30")), 0.1, AT_NS)
    assert [one.kind for one in sent(steps)] == ["1", "2"]
    filled = made.receive(message("4", 1, (43, "Y"), (123, "Y"), (36, "6")), 0.2, AT_NS)
    assert delivered(filled) == [] and made.numbers.next_in == 6
    assert delivered(made.receive(message("8", 6, (43, "Y")), 0.3, AT_NS)) == [6]
    assert made.numbers.next_in == 8 and delivered(made.receive(message("8", 8), 0.4, AT_NS)) == [8]


def test_no_order_is_said_before_both_agree_on_the_numbers() -> None:
    """One that came while the other side still asks for numbers before it would be put by there, and passed over."""
    made = session()
    made.numbers.set(9, 1)
    made.begin(0.0)
    made.logon([], AT_NS)
    (first,) = sent(made.receive(message("A", 1, (108, "30")), 0.1, AT_NS))
    assert first.kind == "1" and not made.ready
    fill, second = sent(made.receive(message("2", 2, (7, "4"), (16, "0")), 0.2, AT_NS + 1))
    assert (fill.kind, fill.get(34), fill.get(36), second.kind) == ("4", "4", "11", "1")
    assert made.receive(message("0", 3, (112, first.get(112))), 0.3, AT_NS) == [] and not made.ready
    assert made.receive(message("0", 4, (112, second.get(112))), 0.3, AT_NS) == [Up()] and made.ready
    made.begin(1.0)
    made.logon([], AT_NS)
    made.receive(message("A", 5, (108, "30")), 1.0, AT_NS)
    assert "1" in [one.kind for one in sent(made.tick(31.5, AT_NS))]  # its answer was lost: asked again


def test_asked_to_send_again_it_sends_no_order_again() -> None:
    made = logged_on()
    for _ in range(3):
        made.say("D", [(11, "a")], 1.0, AT_NS)
    (fill,) = sent(made.receive(message("2", 2, (7, "2"), (16, "0")), 1.1, AT_NS))
    assert (fill.kind, fill.get(34), fill.get(36)) == ("4", "2", "5") and fill.says(123) and fill.says(43)
    assert made.numbers.next_out == 5
    assert (
        sent(made.receive(message("2", 3, (7, "9"), (16, "0")), 1.2, AT_NS)) == []
    )  # nothing was said there


def test_two_that_ask_each_other_do_not_wait_for_each_other() -> None:
    made = logged_on()
    steps = made.receive(message("2", 9, (7, "1"), (16, "0")), 1.0, AT_NS)
    assert [one.kind for one in sent(steps)] == ["4", "2"]
    steps = made.receive(message("4", 2, (123, "Y"), (43, "Y"), (36, "10")), 1.1, AT_NS)
    assert steps == [] and made.numbers.next_in == 10


def test_a_resend_that_never_comes_is_asked_for_again_and_then_ends_it() -> None:
    made = logged_on()
    made.receive(message("8", 4), 1.0, AT_NS)
    kinds = []
    for second in range(2, 140):
        steps = made.receive(message("0", 5 + second), float(second), AT_NS)
        steps += made.tick(float(second), AT_NS) if made.state is State.UP else []
        kinds += [one.kind for one in sent(steps)]
        if over(steps):
            break
    assert kinds.count("2") == 2 and kinds[-1] == "5" and made.state is State.DOWN


@pytest.mark.parametrize("dialect", [True, False])
def test_a_number_that_was_there_is_dropped_only_when_it_says_so(dialect: bool) -> None:
    made = logged_on(resets=dialect, resends=not dialect)
    assert delivered(made.receive(message("8", 2), 1.0, AT_NS)) == [2]
    assert made.receive(message("8", 2, (43, "Y")), 1.0, AT_NS) == []
    steps = made.receive(message("8", 2), 1.0, AT_NS)
    assert "too low" in over(steps) and [one.kind for one in sent(steps)] == ["5"]


def test_where_nothing_is_sent_again_a_gap_ends_the_session() -> None:
    """Binance takes no ResendRequest: what was missed is asked for over REST."""
    made = logged_on(resets=True, resends=False)
    steps = made.receive(message("8", 3), 1.0, AT_NS)
    assert (
        over(steps).startswith("a gap")
        and [one.kind for one in sent(steps)] == ["5"]
        and delivered(steps) == []
    )
    made = logged_on(resets=True, resends=False)
    assert over(made.receive(Garbled("its sum"), 1.0, AT_NS)).startswith("a garbled message")
    assert made.begin(2.0) == 1  # the next begins at 1


def test_what_is_garbled_costs_a_resend_where_there_is_one() -> None:
    made = logged_on()
    assert made.receive(Garbled("its sum"), 1.0, AT_NS) == []
    assert [one.kind for one in sent(made.receive(message("0", 3), 1.1, AT_NS))] == [
        "2"
    ] and made.garbled == 1


def test_silence_is_asked_about_and_then_ends_it() -> None:
    """Number 9: the socket looks alive and says nothing."""
    made = logged_on()
    assert made.due() == 30.0 and [one.kind for one in sent(made.tick(30.0, AT_NS))] == ["0"]
    (test,) = sent(made.tick(36.5, AT_NS))
    assert test.kind == "1" and test.get(112)
    assert made.receive(message("0", 2, (112, test.get(112))), 37.0, AT_NS) == []
    assert over(made.tick(60.0, AT_NS)) == "" and made.state is State.UP
    assert [one.kind for one in sent(made.tick(74.0, AT_NS))] == ["1"]
    assert over(made.tick(104.5, AT_NS)).startswith("half open") and made.due() == float("inf")


def test_a_log_on_that_nobody_answers_ends() -> None:
    made = session()
    made.begin(5.0)
    made.logon([], AT_NS)
    assert made.tick(14.9, AT_NS) == [] and over(made.tick(15.0, AT_NS)) == "no answer to the log-on"


def test_it_answers_when_asked_whether_it_is_there() -> None:
    (answer,) = sent(logged_on().receive(message("1", 2, (112, "are-you")), 1.0, AT_NS))
    assert (answer.kind, answer.get(112)) == ("0", "are-you")


def test_both_sides_may_say_goodbye() -> None:
    made = logged_on()
    (bye,) = sent(made.receive(message("5", 2, (58, "maintenance")), 1.0, AT_NS))
    assert bye.kind == "5" and made.state is State.DOWN
    made = logged_on()
    assert [one.kind for one in sent(made.leave(1.0, AT_NS))] == ["5"]
    steps = made.receive(message("5", 2), 1.1, AT_NS)
    assert sent(steps) == [] and over(steps).startswith("logged out")


def test_numbers_never_go_back() -> None:
    made = logged_on()
    assert made.receive(message("4", 9, (36, "5")), 1.0, AT_NS) == [] and made.numbers.next_in == 5
    assert "back from 5 to 3" in over(made.receive(message("4", 5, (36, "3")), 1.0, AT_NS))
    made = logged_on()
    assert "a gap fill from 2 to 2" in over(made.receive(message("4", 2, (123, "Y"), (36, "2")), 1.0, AT_NS))


def test_a_message_for_somebody_else_ends_it() -> None:
    made = logged_on()
    made.target = "OTHER"
    assert "it is from PEER" in over(made.receive(message("0", 2), 1.0, AT_NS))


def test_a_restart_goes_on_with_its_numbers(tmp_path: Path) -> None:
    path = tmp_path / "oe.seq"
    numbers = FileNumbers(path)
    made = logged_on(numbers=numbers)
    made.say("D", [(11, "a")], 1.0, AT_NS)
    made.receive(message("8", 2), 1.0, AT_NS)
    with pytest.raises(Usage) as second:
        FileNumbers(path)
    assert second.value.code == "FIX_SESSION_IN_USE"
    numbers.close()
    kept = FileNumbers(path)
    assert (kept.next_out, kept.next_in) == (3, 3)
    again = session(numbers=kept)
    assert again.begin(0.0) == 3
    kept.close()


def test_damaged_numbers_are_not_guessed(tmp_path: Path) -> None:
    path = tmp_path / "oe.seq"
    numbers = FileNumbers(path)
    numbers.set(41, 17)
    numbers.close()
    text = path.read_text()
    path.write_text(text.replace("41", "31"))
    with pytest.raises(Halt) as damaged:
        FileNumbers(path)
    assert damaged.value.code == "FIX_NUMBERS_DAMAGED"


def test_a_number_is_kept_before_its_message_exists() -> None:
    class Broken(Numbers):
        def set(self, next_out: int, next_in: int) -> None:
            if next_out > 3:
                raise Halt("FIX_NUMBERS_UNWRITABLE", "the disk is full")
            super().set(next_out, next_in)

    made = logged_on(numbers=Broken())
    made.say("D", [(11, "a")], 1.0, AT_NS)
    with pytest.raises(Halt):
        made.say("D", [(11, "a")], 1.0, AT_NS)
