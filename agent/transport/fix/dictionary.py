"""A FIX dictionary: which fields a message has, which of them it must have, of what type they are, which repeat. Pure.

    fields     "38 OrderQty QTY" a line; after the type the values it may have, where it is an enumeration
    messages   "D NewOrderSingle 11! 38 40! 136(137! 138! 139!)" a line: ! must be there, (…) is repeated as often as the tag before it says

Faults carry the number of SessionRejectReason (373) of FIX 4.4.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from agent.transport.fix.message import Message, Pair, stamp_ns

UNDEFINED, MISSING, NOT_OF_MESSAGE, BAD_VALUE, BAD_FORMAT, BAD_TYPE, TWICE, GROUP_ORDER, GROUP_COUNT = (
    3, 1, 2, 5, 6, 11, 13, 15, 16,
)  # fmt: skip
MOST_ENTRIES = 1_000
_TOKEN = re.compile(r"([0-9]+)(!?)(\()?|(\))")
_DECIMAL = re.compile(r"-?[0-9]{1,24}(\.[0-9]{1,24})?", re.ASCII)
_INTEGER = re.compile(r"-?[0-9]{1,19}", re.ASCII)
_COUNT = re.compile(r"[0-9]{1,19}", re.ASCII)


class BadMessage(ValueError):
    """A message that its dictionary does not allow. `tag` 0: none of its fields."""

    def __init__(self, reason: int, tag: int, text: str) -> None:
        super().__init__(text)
        self.reason, self.tag, self.text = reason, tag, text


@dataclass(frozen=True, slots=True)
class Field:
    tag: int
    name: str
    type: str
    values: frozenset[str] = frozenset()


@dataclass(slots=True)
class Layout:
    """What stands in a message, or in one entry of a group: tag to whether it must. A group's own layout is under the tag that counts it."""

    name: str
    tags: dict[int, bool] = field(default_factory=dict)
    groups: dict[int, Layout] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Record:
    """A message that was read: values by tag, a group's entries under the tag that counts them."""

    kind: str
    values: Mapping[int, str]
    groups: Mapping[int, tuple[Record, ...]]

    def __getitem__(self, tag: int) -> str:
        return self.values[tag]

    def get(self, tag: int, default: str = "") -> str:
        return self.values.get(tag, default)


class Dictionary:
    def __init__(self, header: str, fields: str, messages: str) -> None:
        """Raises ValueError for a line that is none, or a tag without a field."""
        self.fields = {f.tag: f for f in map(_field, fields.strip().splitlines())}
        self.messages: dict[str, Layout] = {}
        for line in messages.strip().splitlines():
            kind, name, rest = (*line.split(None, 2), "")[:3]
            self.messages[kind] = _layout(name, f"{header} {rest}")
        for layout in self.messages.values():
            strange = [tag for tag in _tags(layout) if tag not in self.fields]
            if strange:
                raise ValueError(f"{layout.name} has tag {strange[0]}, which is no field")

    def read(self, message: Message, *, strict: bool = False) -> Record:
        """Its fields, checked. `strict` also refuses fields and values the dictionary does not know, as the receiver of it will.

        Raises BadMessage. Not strict, what is unknown is kept aside, for venues add fields and values without asking.
        """
        layout = self.messages.get(message.kind)
        if layout is None:
            raise BadMessage(BAD_TYPE, 35, f"there is no message {message.kind[:20]!r}")
        values, groups, end = self._entry(message.fields, 0, layout, strict, None)
        assert end == len(message.fields)
        return Record(message.kind, values, groups)

    def _entry(
        self, pairs: Sequence[Pair], at: int, layout: Layout, strict: bool, ends: frozenset[int] | None
    ) -> tuple[dict[int, str], dict[int, tuple[Record, ...]], int]:
        """One message from the first field on, or one entry of a group, which ends where `ends` has the tag or with what is not in it."""
        values: dict[int, str] = {}
        groups: dict[int, tuple[Record, ...]] = {}
        while at < len(pairs):
            tag, value = pairs[at]
            known = tag in layout.tags
            if ends is not None and (tag in values or not known):
                break
            if not known and strict:
                reason = NOT_OF_MESSAGE if tag in self.fields else UNDEFINED
                raise BadMessage(reason, tag, f"tag {tag} does not belong to {layout.name}")
            if known and tag in values:
                raise BadMessage(TWICE, tag, f"tag {tag} stands twice in {layout.name}")
            if tag in self.fields:
                self._check(tag, value, strict)
            values[tag] = value
            at += 1
            if tag in layout.groups:
                groups[tag], at = self._group(pairs, at, tag, int(value), layout.groups[tag], strict)
        missing = next((tag for tag, must in layout.tags.items() if must and tag not in values), None)
        if missing is not None:
            raise BadMessage(
                MISSING, missing, f"{layout.name} has no {self.fields[missing].name} ({missing})"
            )
        return values, groups, at

    def _group(
        self, pairs: Sequence[Pair], at: int, tag: int, count: int, layout: Layout, strict: bool
    ) -> tuple[tuple[Record, ...], int]:
        if count > MOST_ENTRIES:
            raise BadMessage(GROUP_COUNT, tag, f"{count} entries of {layout.name}")
        members = frozenset(layout.tags)
        first = next(iter(layout.tags))
        if not strict and at < len(pairs) and pairs[at][0] in members:
            first = pairs[at][0]  # a venue may put another field first than its dictionary does
        found: list[Record] = []
        while at < len(pairs) and pairs[at][0] in members:
            if pairs[at][0] != first:
                raise BadMessage(
                    GROUP_ORDER, pairs[at][0], f"an entry of {layout.name} does not begin with {first}"
                )
            values, groups, at = self._entry(pairs, at, layout, strict, members)
            found.append(Record("", values, groups))
        if len(found) != count:
            raise BadMessage(GROUP_COUNT, tag, f"{len(found)} entries of {layout.name}, and it says {count}")
        return tuple(found), at

    def _check(self, tag: int, value: str, strict: bool) -> None:
        known = self.fields[tag]
        if not _formed(known.type, value):
            raise BadMessage(
                BAD_FORMAT, tag, f"{known.name} ({tag}) {value[:40]!r} is no {known.type.lower()}"
            )
        if strict and known.values and value not in known.values:
            raise BadMessage(
                BAD_VALUE, tag, f"{known.name} ({tag}) {value[:40]!r} is none of {sorted(known.values)}"
            )


def _formed(kind: str, value: str) -> bool:
    match kind:
        case "PRICE" | "QTY" | "FLOAT":
            return _DECIMAL.fullmatch(value) is not None
        case "INT":
            return _INTEGER.fullmatch(value) is not None
        case "LENGTH" | "NUMINGROUP" | "SEQNUM":
            return _COUNT.fullmatch(value) is not None
        case "BOOLEAN":
            return value in ("Y", "N")
        case "CHAR":
            return len(value) == 1
        case "UTCTIMESTAMP":
            try:
                stamp_ns(value)
            except ValueError:
                return False
    return True


def _field(line: str) -> Field:
    tag, name, kind, *values = line.split()
    return Field(int(tag), name, kind, frozenset(values))


def _layout(name: str, text: str) -> Layout:
    root = Layout(name)
    open_, last = [root], 0
    for tag, must, group, closed in _TOKEN.findall(text):
        if closed:
            open_.pop()
            continue
        last = int(tag)
        open_[-1].tags[last] = bool(must)
        if group:
            entry = Layout(f"{name}'s group {last}")
            open_[-1].groups[last] = entry
            open_.append(entry)
    if len(open_) != 1:
        raise ValueError(f"{name}: brackets do not match")
    return root


def _tags(layout: Layout) -> Iterator[int]:
    yield from layout.tags
    for entry in layout.groups.values():
        yield from _tags(entry)
