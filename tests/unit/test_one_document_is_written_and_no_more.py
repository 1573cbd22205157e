"""--json gives exactly one document, also where Ctrl-C or a failure comes after the answer."""

from __future__ import annotations

import asyncio
import json

import pytest

from agent.app.cli.output import emit_error, emit_json, one_answer
from chains.errors import Usage

LATE = Usage("INTERRUPTED", "stopped; nothing was lost", "see `fairlead orders`")


def test_an_error_after_the_answer_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    async def answer() -> None:
        emit_json({"done": True})

    with one_answer():
        asyncio.run(answer())  # a task of its own, with a context of its own
        assert emit_error(LATE, True) == 2
    out, err = capsys.readouterr()
    assert json.loads(out) == {"done": True}
    assert "INTERRUPTED" in err


def test_an_error_instead_of_an_answer_is_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):  # one command line does not silence the next
        with one_answer():
            emit_error(LATE, True)
        out, err = capsys.readouterr()
        assert json.loads(out)["error"]["code"] == "INTERRUPTED" and not err
