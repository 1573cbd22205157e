"""QuickFIX as an exchange, for our session to be tried against: takes orders, tells reports, keeps its numbers in files.

    fix_engine.py FOLDER PORT     commands by line on stdin, what happens as JSON by line on stdout

Commands: `report N` sends N reports (queued while nobody is logged on, as an engine does) · `stop`. Orders are answered with a report each;
every order that arrives is told, also one that arrives again. Standard session rules: numbers go on over log-ons, resends are asked for.
"""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

import quickfix as fix

US, THEM = "ENGINE", "OURS"
CONFIG = """[DEFAULT]
ConnectionType=acceptor
SocketAcceptPort={port}
SocketReuseAddress=Y
StartTime=00:00:00
EndTime=00:00:00
NonStopSession=Y
UseDataDictionary=N
ResetOnLogon=N
ResetOnLogout=N
ResetOnDisconnect=N
FileStorePath={folder}/store
[SESSION]
BeginString=FIX.4.4
SenderCompID={us}
TargetCompID={them}
"""
_said = threading.Lock()


def say(**what: object) -> None:
    with _said:
        print(json.dumps(what), flush=True)


class Exchange(fix.Application):
    def __init__(self) -> None:
        super().__init__()
        self.session = fix.SessionID("FIX.4.4", US, THEM)
        self.told = 0

    def onCreate(self, session: fix.SessionID) -> None:
        return

    def onLogon(self, session: fix.SessionID) -> None:
        say(event="logon")

    def onLogout(self, session: fix.SessionID) -> None:
        say(event="logout")

    def toAdmin(self, message: fix.Message, session: fix.SessionID) -> None:
        say(event="says", kind=message.getHeader().getField(35))

    def fromAdmin(self, message: fix.Message, session: fix.SessionID) -> None:
        say(event="hears", kind=message.getHeader().getField(35))

    def toApp(self, message: fix.Message, session: fix.SessionID) -> None:
        return

    def fromApp(self, message: fix.Message, session: fix.SessionID) -> None:
        if message.getHeader().getField(35) == "D":
            name = message.getField(11)
            say(event="order", name=name)
            self.report(name)

    def report(self, name: str) -> None:
        self.told += 1
        message = fix.Message()
        message.getHeader().setField(fix.BeginString("FIX.4.4"))
        message.getHeader().setField(fix.MsgType("8"))
        for tag, value in (
            (11, name),
            (17, f"E{self.told}"),
            (37, str(self.told)),
            (39, "0"),
            (150, "0"),
            (54, "1"),
            (55, "ETHUSDC"),
        ):
            message.setField(tag, value)
        fix.Session.sendToTarget(message, self.session)


def main() -> int:
    folder, port = Path(sys.argv[1]), int(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "engine.cfg"
    config.write_text(CONFIG.format(port=port, folder=folder, us=US, them=THEM))
    settings, app = fix.SessionSettings(str(config)), Exchange()
    count = folder / "told"
    app.told = int(count.read_text()) if count.exists() else 0
    acceptor = fix.SocketAcceptor(app, fix.FileStoreFactory(settings), settings)
    acceptor.start()
    say(event="ready")
    for line in sys.stdin:
        words = line.split()
        if words[:1] == ["report"]:
            for _ in range(int(words[1])):
                app.report("unasked")
            say(event="reported")
        elif words[:1] == ["stop"]:
            break
    count.write_text(str(app.told))
    acceptor.stop()
    say(event="stopped")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
