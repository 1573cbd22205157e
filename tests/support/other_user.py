"""Programs that begin as root, become another OS user, and then try what a thief of that user would try. Run as files, never imported by tests.

    python other_user.py UID GID signer SOCKET CONFIG       the signer, as that user
    python other_user.py UID GID prey                       a process with a secret in memory that nobody hardened
    python other_user.py UID GID thief TARGETS.json         tries each target; its findings as JSON on stdout

An interpreter that only root may start is loaded first, with everything it needs, and then the user is changed. Changing it makes the memory
unreadable by itself, so that is undone: what is unreadable afterwards is so by the signer's own doing.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import struct
import sys
import time
from pathlib import Path

PR_SET_DUMPABLE = 4


def become(uid: int, gid: int) -> None:
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)


def told(error: OSError) -> str:
    return type(error).__name__


def memory(pid: int, wanted: bytes) -> str:
    """Every writable mapping, searched."""
    try:
        lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
        with open(f"/proc/{pid}/mem", "rb", 0) as mem:
            for line in lines:
                where, rights = line.split()[:2]
                first, _, last = where.partition("-")
                if not rights.startswith("rw") or "[v" in line:
                    continue
                mem.seek(int(first, 16))
                try:
                    if wanted in mem.read(int(last, 16) - int(first, 16)):
                        return "found"
                except OSError:
                    continue
        return "not found"
    except OSError as error:
        return told(error)


def attached(pid: int) -> str:
    """PTRACE_SEIZE."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(0x4206, pid, 0, 0) == 0:
        libc.ptrace(17, pid, 0, 0)
        return "attached"
    return told(OSError(ctypes.get_errno(), ""))


def read(path: str) -> str:
    try:
        return "read" if Path(path).read_bytes() or True else ""
    except OSError as error:
        return told(error)


def written(path: str) -> str:
    try:
        with open(path, "ab"):
            return "open for writing"
    except OSError as error:
        return told(error)


def asked(path: str) -> str:
    """`status`, as any client asks it."""
    body = json.dumps({"id": "thief", "method": "status"}).encode()
    with socket.socket(socket.AF_UNIX) as one:
        one.settimeout(5)
        try:
            one.connect(path)
            one.sendall(struct.pack(">I", len(body)) + body)
            return "answered" if one.recv(4) else "hung up"
        except OSError as error:
            return told(error)


def thief(targets: dict[str, object]) -> dict[str, object]:
    pid, wanted = int(str(targets["pid"])), bytes.fromhex(str(targets["wanted"]))
    listed = targets["files"]
    assert isinstance(listed, list)
    return {
        "memory": memory(pid, wanted),
        "attach": attached(pid),
        "environ": read(f"/proc/{pid}/environ"),
        "read": {str(p): read(str(p)) for p in listed},
        "write": {str(p): written(str(p)) for p in listed},
        "socket": asked(str(targets["socket"])),
    }


def main() -> None:
    uid, gid, role, *rest = sys.argv[1:]
    if role == "signer":
        sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
        import eth_keyfile.keyfile  # noqa: F401 - loaded while the interpreter's own files can still be read

        import keys.signer.__main__ as signer
        from contracts.hashing import load_crypto_alone

        load_crypto_alone()
        become(int(uid), int(gid))
        raise SystemExit(signer.main(["--socket", rest[0], "--config", rest[1]]))
    if role == "prey":
        become(int(uid), int(gid))
        secret = b"".join((b"prey-of-the-", b"control-test"))
        print("ready", flush=True)
        time.sleep(60)
        raise SystemExit(len(secret) == 0)
    targets = json.loads(Path(rest[0]).read_text())
    become(int(uid), int(gid))
    print(json.dumps(thief(targets)))


if __name__ == "__main__":
    main()
