"""Events to canonical JSON bytes and back, by (type name, version).

Any frozen dataclass may be registered; its annotations alone decide the wire form, so the same value always gives the
same bytes (keys sorted, no spaces, UTF-8):

    int            a decimal string; a number up to 2**53 under names that count or time (plain.is_money_name)
    Decimal        a string, exponent kept          float      a string (its shortest exact form)
    bytes          "0x…"                            Enum       the member's name
    datetime       RFC 3339 in UTC                  tuple, frozenset   a list
    dict, Mapping  an object (keys: str, int, Enum) X | None   X or null
    A | B          {"$": type name, "v": value}     dataclass  an object of its fields

A type's version is given with it (`versions`), or is its `VERSION` class attribute, or 1. A field added with a default needs no new
version; every other change does, with an upcaster from the version before.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any

from agent.journal.coders import (
    SCALARS,
    Coder,
    Decode,
    Encode,
    Mismatch,
    dumps,
    enum_coder,
    key_coder,
    literal_coder,
    loads,
    mapping_coder,
    money_int_coder,
    record_coder,
    sequence_coder,
    tagged_coder,
)
from agent.journal.plain import is_money_name
from chains.errors import Halt

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]


class Codec:
    """The registered event types, with the way each of them is written.

    `upcasters[(name, version)]` turns the plain fields of that old version into those of the next one;
    `renamed[old name]` is the name a type has today.
    """

    def __init__(
        self,
        events: Iterable[type] = (),
        *,
        versions: Mapping[str, int] | None = None,
        upcasters: Mapping[tuple[str, int], Upcaster] | None = None,
        renamed: Mapping[str, str] | None = None,
    ) -> None:
        self._types: dict[str, type] = {}
        self._coders: dict[tuple[Any, bool], Coder] = {}
        self._by_class: dict[type, tuple[str, int, Encode]] = {}
        self._versions = dict(versions or {})
        self._upcasters = dict(upcasters or {})
        self._renamed = dict(renamed or {})
        for event in events:
            self.register(event)

    def register(self, cls: type) -> type:
        """Make a frozen dataclass storable. Halt JOURNAL_TYPE where it, or a field of it, has no exact written form."""
        known = self._types.get(cls.__name__)
        if known is not None and known is not cls:
            raise Halt(
                "JOURNAL_TYPE",
                f"two event types are called {cls.__name__}: {known.__module__} and {cls.__module__}",
                "rename one of them",
            )
        coder = self._coder(cls, False)
        self._types[cls.__name__] = cls
        self._by_class[cls] = (cls.__name__, self.version_of(cls), coder.encode)
        return cls

    def version_of(self, cls: type) -> int:
        return self._versions.get(cls.__name__, int(getattr(cls, "VERSION", 1)))

    @property
    def kinds(self) -> tuple[str, ...]:
        return tuple(sorted(self._types))

    def encode(self, event: object) -> tuple[str, int, bytes]:
        """(type name, version, canonical JSON). Halt JOURNAL_UNKNOWN_TYPE or JOURNAL_VALUE."""
        try:
            name, version, encode = self._by_class[type(event)]
        except KeyError:
            raise Halt(
                "JOURNAL_UNKNOWN_TYPE",
                f"{type(event).__module__}.{type(event).__qualname__} is not a registered event type",
                "register it with the journal's codec",
            ) from None
        try:
            return name, version, dumps(encode(event))
        except Mismatch as wrong:
            raise Halt(
                "JOURNAL_VALUE", f"{name}.{wrong} cannot be written", "fix the stage that made this event"
            ) from wrong

    def decode(self, name: str, version: int, payload: bytes) -> Any:
        """The event as its type is today. Halt JOURNAL_UNKNOWN_TYPE, JOURNAL_NEWER, JOURNAL_UPCASTER or JOURNAL_VALUE."""
        original = f"{name} version {version}"
        try:
            plain = loads(payload)
        except ValueError as wrong:
            raise Halt(
                "JOURNAL_VALUE", f"a {original} entry is not JSON", "run `fairlead journal verify`"
            ) from wrong
        name = self._renamed.get(name, name)
        cls = self._types.get(name)
        if cls is None:
            raise Halt(
                "JOURNAL_UNKNOWN_TYPE",
                f"the journal holds an event of type {name}, which this Fairlead does not know",
                "use the Fairlead that wrote it, or a newer one",
            )
        current = self.version_of(cls)
        if version > current:
            raise Halt(
                "JOURNAL_NEWER",
                f"the journal holds {original}, this Fairlead knows version {current}",
                "use the Fairlead that wrote it, or a newer one",
            )
        while version < current:
            upcast = self._upcasters.get((name, version))
            if upcast is None:
                raise Halt(
                    "JOURNAL_UPCASTER",
                    f"no upcaster for {name} version {version}",
                    "this is a bug: report it",
                )
            plain, version = upcast(plain), version + 1
        try:
            return self._coder(cls, False).decode(plain)
        except (Mismatch, ValueError, TypeError, KeyError, ArithmeticError) as wrong:
            raise Halt(
                "JOURNAL_VALUE", f"a {original} entry does not read: {wrong}", "run `fairlead journal verify`"
            ) from wrong

    def schema(self) -> dict[str, dict[str, Any]]:
        """Every registered type's version and field annotations: what a stored journal depends on."""
        return {
            name: {
                "version": self.version_of(cls),
                "fields": {f.name: str(f.type) for f in dataclasses.fields(cls)},
            }
            for name, cls in sorted(self._types.items())
        }

    # -- coders, built once per annotation --------------------------------------------------------------------------

    def _coder(self, annotation: Any, money: bool) -> Coder:
        key = (annotation, money)
        coder = self._coders.get(key)
        if coder is None:
            coder = self._coders[key] = self._build(annotation, money)
        return coder

    def _build(self, annotation: Any, money: bool) -> Coder:
        while isinstance(annotation, typing.NewType):
            annotation = annotation.__supertype__
        origin, args = typing.get_origin(annotation), typing.get_args(annotation)
        if origin is typing.Annotated:
            return self._coder(args[0], money)
        if origin is typing.Literal:
            return literal_coder(args)
        if origin in (typing.Union, types.UnionType):
            return self._union(args, money)
        if origin is tuple:
            if len(args) == 2 and args[1] is Ellipsis:
                return sequence_coder("tuple", self._coder(args[0], money), tuple)
            return record_coder([self._coder(arg, money) for arg in args])
        if origin is frozenset:
            return sequence_coder("frozenset", self._coder(args[0], money), frozenset)
        if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
            return mapping_coder(key_coder(args[0]), self._coder(args[1], money))
        if annotation in SCALARS:
            return money_int_coder() if annotation is int and money else SCALARS[annotation]
        if isinstance(annotation, type) and issubclass(annotation, Enum):
            return enum_coder(annotation)
        if dataclasses.is_dataclass(annotation) and isinstance(annotation, type):
            return self._dataclass(annotation)
        raise Halt(
            "JOURNAL_TYPE",
            f"{annotation!r} has no exact written form",
            "give the field one of the types in agent/journal/codec.py",
        )

    def _union(self, args: tuple[Any, ...], money: bool) -> Coder:
        optional = type(None) in args
        members = [self._coder(arg, money) for arg in args if arg is not type(None)]
        inner = members[0] if len(members) == 1 else tagged_coder(members)
        if not optional:
            return inner
        encode, decode, accepts = inner.encode, inner.decode, inner.accepts
        return Coder(
            "optional",
            lambda v: None if v is None else encode(v),
            lambda p: None if p is None else decode(p),
            lambda v: v is None or accepts(v),
            inner.fixed,
        )

    def _dataclass(self, cls: type) -> Coder:
        if not cls.__dataclass_params__.frozen:  # type: ignore[attr-defined]
            raise Halt(
                "JOURNAL_TYPE",
                f"{cls.__qualname__} is not frozen",
                "declare it @dataclass(frozen=True, slots=True)",
            )
        fields: list[tuple[str, Encode]] = []
        # A stage holds what the stage before it held: such a record is turned into plain data once, as long as it is the very same one.
        last: tuple[Any, dict[str, Any]] = (None, {})
        fixed = False
        readers: dict[str, Decode] = {}
        required: set[str] = set()

        def encode(value: Any) -> dict[str, Any]:
            if type(value) is not cls:
                raise Mismatch(f": {type(value).__qualname__} where {cls.__qualname__} is meant")
            nonlocal last
            if value is last[0]:
                return last[1]
            out: dict[str, Any] = {}
            name = ""
            try:
                for name, write in fields:
                    out[name] = write(getattr(value, name))
            except Mismatch as wrong:
                raise Mismatch(
                    f"{name}.{wrong}" if not str(wrong).startswith(":") else f"{name}{wrong}"
                ) from None
            if fixed:
                last = value, out
            return out

        def decode(plain: Any) -> Any:
            if type(plain) is not dict:
                raise Mismatch(f"{cls.__qualname__} is not an object")
            unknown = plain.keys() - readers.keys()
            missing = required - plain.keys()
            if unknown or missing:
                raise Mismatch(
                    f"{cls.__qualname__}: unknown fields {sorted(unknown)}, missing fields {sorted(missing)}"
                )
            return cls(**{name: readers[name](value) for name, value in plain.items()})

        coder = Coder(cls.__name__, encode, decode, lambda v: type(v) is cls, fixed=False)
        self._coders[(cls, False)] = self._coders[(cls, True)] = (
            coder  # before its fields: a type may hold itself
        )
        try:
            hints = typing.get_type_hints(cls, include_extras=True)
        except NameError as wrong:
            raise Halt(
                "JOURNAL_TYPE",
                f"{cls.__qualname__}: {wrong}",
                "import the field's type at run time, not for type checking only",
            ) from wrong
        unchanging = True
        for field in dataclasses.fields(cls):
            if not field.init:
                continue
            try:
                inner = self._coder(hints[field.name], is_money_name(field.name))
            except Halt as wrong:
                raise Halt(
                    wrong.code, f"{cls.__qualname__}.{field.name}: {wrong.message}", wrong.hint
                ) from wrong
            unchanging = unchanging and inner.fixed
            fields.append((field.name, inner.encode))
            readers[field.name] = inner.decode
            if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                required.add(field.name)
        fixed = unchanging
        coder = dataclasses.replace(coder, fixed=fixed)
        self._coders[(cls, False)] = self._coders[(cls, True)] = coder
        return coder
