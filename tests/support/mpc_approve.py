"""A share's holder, as its `approve` command: notes what was shown, then does what MOOD_FILE says (refuse, away; else yes)."""

from __future__ import annotations

import sys
import time
from pathlib import Path

mood, log = Path(sys.argv[1]), Path(sys.argv[2])
shown = sys.stdin.read()
with log.open("a") as out:
    out.write(shown + "\n")
word = mood.read_text().strip()
if word == "away":
    time.sleep(60)
sys.exit(1 if word == "refuse" else 0)
