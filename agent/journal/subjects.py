"""Which orders an entry speaks of, read from its plain payload: what `journal show --order` searches by.

An index, not a record: it follows from the payloads alone and `verify` builds it anew to compare.
"""

from __future__ import annotations

from typing import Any

_IDS = ("cl_ord_id", "parent", "child", "quote_id")


def subjects(plain: Any) -> tuple[set[str], set[tuple[str, str]]]:
    """(every order id named, every (id, the id it came from)): a part from its child, a child from its parent, that from its intent."""
    ids: set[str] = set()
    lineage: set[tuple[str, str]] = set()
    stack = [plain]
    while stack:
        node = stack.pop()
        if type(node) is list:
            stack.extend(node)
        elif type(node) is dict:
            for key in _IDS:
                found = node.get(key)
                if type(found) is str:
                    ids.add(found)
            own = node.get("cl_ord_id")
            intent = node.get("intent")
            if type(intent) is dict and type(intent.get("id")) is str:
                ids.add(intent["id"])
                if type(own) is str:
                    lineage.add((own, intent["id"]))
            if type(own) is str:
                for key in ("child", "parent"):
                    source = node.get(key)
                    if type(source) is str:
                        lineage.add((own, source))
            stack.extend(v for v in node.values() if type(v) is dict or type(v) is list)
    return ids, lineage
