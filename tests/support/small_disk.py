"""A real disk of a few megabytes: a tmpfs in a mount namespace of its own, for commands that are to run out of space.

with SmallDisk(folder, "4m") as disk:
    subprocess.run(disk.inside([...]))      a command that sees the disk at `folder`
    disk.fill(); disk.empty()               every free byte taken, and given back
"""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path


def works() -> bool:
    if shutil.which("unshare") is None or shutil.which("nsenter") is None:
        return False
    command = ["unshare", "-rm", "sh", "-c", "mount -t tmpfs -o size=64k tmpfs /mnt"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


WHY_NOT = "this machine lets an ordinary user mount no tmpfs of his own (unshare -rm)"


class SmallDisk:
    def __init__(self, folder: Path, size: str) -> None:
        self.folder, self._size = folder, size

    def __enter__(self) -> SmallDisk:
        self.folder.mkdir(parents=True, exist_ok=True)
        script = f"mount -t tmpfs -o size={self._size} tmpfs '{self.folder}' && echo mounted && exec cat"
        self._keeper = subprocess.Popen(
            ["unshare", "-rm", "sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._keeper.stdout is not None
        assert self._keeper.stdout.readline() == "mounted\n"
        return self

    def __exit__(self, *_: object) -> None:
        self._keeper.kill()
        self._keeper.communicate()

    def inside(self, argv: list[str]) -> list[str]:
        return ["nsenter", "-t", str(self._keeper.pid), "-U", "-m", "--preserve-credentials", *argv]

    @property
    def seen(self) -> Path:
        """The disk's content as anybody may read it from outside."""
        return Path(f"/proc/{self._keeper.pid}/root{self.folder}")

    def fill(self) -> None:
        for _ in range(3):
            self._sh(f"cat /dev/zero >> '{self.folder}/filler' 2>/dev/null; true")
            time.sleep(0.05)

    def empty(self) -> None:
        self._sh(f"rm -f '{self.folder}/filler'")

    def _sh(self, script: str) -> None:
        subprocess.run(self.inside(["sh", "-c", script]), check=True)
