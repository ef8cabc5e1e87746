"""Reads the data out of a pickle without ever running what the pickle asks for.

A pickle is a program: its REDUCE, NEWOBJ and BUILD instructions call whatever Python object the file
names. This reader is its own small virtual machine. It knows the instructions that plain data needs and
refuses all others; the names of callables in the file are only labels (`Global`), looked up in a table
that the caller provides, whose entries build plain data. Nothing is imported, no attribute of any object is
set, and no method of any object in the file is called. The machine has no recursion, so nesting cannot
exhaust the stack; every length is checked against what is left of the file before it is used.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ..hyperparameters import ModelError

MAX_PICKLE_BYTES = 1 << 30
# SO3LR's two published forms need 4,000 and 23,000.
MAX_INSTRUCTIONS = 2_000_000


class UnpicklingError(ModelError):
    """The pickle is damaged, or asks for something that plain model data does not need."""


@dataclass(frozen=True)
class Global:
    """A name from the file ("module", "name"); nothing stands behind it."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass
class Node:
    """Stands for an object of a class the caller allows: its class, what it was made from and its state."""

    cls: Global
    args: tuple = ()
    state: object = field(default=None)


# Builds plain data from the arguments of a call in the file.
Constructor = Callable[..., object]

_MARK = object()


class _Machine:
    """Stack, memo and position in the file; one method for each kind of instruction."""

    def __init__(
        self,
        data: bytes,
        constructors: Mapping[str, Constructor],
        allow_global: Callable[[Global], bool],
        persistent: Callable[[object], object] | None,
    ) -> None:
        self.data = data
        self.position = 0
        self.stack: list = []
        self.memo: dict[int, object] = {}
        self.constructors = constructors
        self.allow_global = allow_global
        self.persistent = persistent

    # -- bytes of the file -----------------------------------------------------------------------

    def fail(self, message: str) -> UnpicklingError:
        return UnpicklingError(f"refusing this pickle (byte {self.position}): {message}")

    def read(self, count: int) -> bytes:
        end = self.position + count
        if count < 0 or end > len(self.data):
            raise self.fail(f"it ends early: {count} more bytes announced, {len(self.data) - self.position} there")
        piece = self.data[self.position : end]
        self.position = end
        return piece

    def number(self, code: str) -> int | float:
        return struct.unpack("<" + code, self.read(struct.calcsize("<" + code)))[0]

    def line(self) -> str:
        end = self.data.find(b"\n", self.position, self.position + 1000)
        if end < 0:
            raise self.fail("a name does not end")
        return self.text(self.read(end + 1 - self.position)[:-1])

    def text(self, raw: bytes) -> str:
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            raise self.fail("a string is not UTF-8") from None

    # -- stack and memo --------------------------------------------------------------------------

    def pop(self) -> object:
        if not self.stack or self.stack[-1] is _MARK:
            raise self.fail("the stack is empty")
        return self.stack.pop()

    def pop_count(self, count: int) -> tuple:
        return tuple(self.pop() for _ in range(count))[::-1]

    def pop_to_mark(self) -> list:
        for index in range(len(self.stack) - 1, -1, -1):
            if self.stack[index] is _MARK:
                items = self.stack[index + 1 :]
                del self.stack[index:]
                return items
        raise self.fail("a mark is missing")

    def top(self, kind: type) -> object:
        if not self.stack or not isinstance(self.stack[-1], kind):
            raise self.fail(f"a {kind.__name__} was expected")
        return self.stack[-1]

    def put(self, index: int) -> None:
        if not self.stack or self.stack[-1] is _MARK:
            raise self.fail("nothing to remember")
        self.memo[index] = self.stack[-1]

    def get(self, index: int) -> None:
        if index not in self.memo:
            raise self.fail(f"entry {index} of the memo does not exist")
        self.stack.append(self.memo[index])

    # -- containers ------------------------------------------------------------------------------

    def set_items(self, items: list | tuple) -> None:
        target = self.top(dict)
        if len(items) % 2:
            raise self.fail("a dictionary has a key without value")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, (str, int, type(None))):
                raise self.fail("a dictionary key is neither text nor a whole number")
            target[key] = value

    # -- names and calls -------------------------------------------------------------------------

    def named(self, module: object, name: object) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise self.fail("the name of a global is not text")
        label = Global(module, name)
        if str(label) not in self.constructors and not self.allow_global(label):
            raise self.fail(f"it names {str(label)!r}, which plain model data does not need")
        self.stack.append(label)

    def call(self, function: object, args: object) -> None:
        if not isinstance(function, Global) or not isinstance(args, tuple):
            raise self.fail("a call of something that is not a name from the allow-list")
        constructor = self.constructors.get(str(function))
        if constructor is None:
            raise self.fail(f"it calls {str(function)!r}, which is not on the allow-list")
        try:
            self.stack.append(constructor(*args))
        except UnpicklingError as error:
            raise self.fail(str(error)) from None
        except (TypeError, ValueError) as error:
            raise self.fail(f"the arguments of {function} do not fit: {error}") from None

    def new_object(self) -> None:
        args = self.pop()
        cls = self.pop()
        if not isinstance(cls, Global) or not isinstance(args, tuple):
            raise self.fail("an object of something that is not a name from the allow-list")
        self.stack.append(Node(cls, args))

    def build(self) -> None:
        state = self.pop()
        if self.stack and isinstance(self.stack[-1], dict):
            raise self.fail("a dictionary with attributes, like a PyTorch state_dict; save the whole model instead")
        target = self.top(Node)
        if target.state is not None:
            raise self.fail(f"an object of {target.cls} gets its state twice")
        target.state = state

    def persistent_load(self) -> None:
        if self.persistent is None:
            raise self.fail("it refers to data outside of the file (persistent id)")
        try:
            self.stack.append(self.persistent(self.pop()))
        except UnpicklingError as error:
            raise self.fail(str(error)) from None
        except (TypeError, ValueError) as error:
            raise self.fail(f"a persistent id does not fit: {error}") from None

    def long(self, count: int) -> int:
        if count > 8:
            raise self.fail(f"a whole number of {count} bytes")
        return int.from_bytes(self.read(count), "little", signed=True)

    def run(self) -> object:
        for _ in range(MAX_INSTRUCTIONS):
            opcode = self.read(1)
            if opcode == b".":
                result = self.pop()
                if self.stack:
                    raise self.fail("objects are left on the stack")
                return result
            action = _ACTIONS.get(opcode)
            if action is None:
                raise self.fail(f"instruction {opcode!r} is not on the allow-list")
            action(self)
        raise self.fail(f"more than {MAX_INSTRUCTIONS} instructions")


def _protocol(machine: _Machine) -> None:
    version = machine.number("B")
    if not 2 <= version <= 5:
        raise machine.fail(f"protocol {version}; 2 to 5 are known")


def _push(value: Callable[[_Machine], object]) -> Callable[[_Machine], None]:
    return lambda machine: machine.stack.append(value(machine))


def _append(machine: _Machine) -> None:
    item = machine.pop()
    machine.top(list).append(item)


def _appends(machine: _Machine) -> None:
    items = machine.pop_to_mark()
    machine.top(list).extend(items)


def _set_item(machine: _Machine) -> None:
    machine.set_items(machine.pop_count(2))


def _reduce(machine: _Machine) -> None:
    args = machine.pop()
    machine.call(machine.pop(), args)


def _stack_global(machine: _Machine) -> None:
    machine.named(*machine.pop_count(2))


# Instruction: what it does (names as in Python's pickletools).
_ACTIONS: dict[bytes, Callable[[_Machine], None]] = {
    b"\x80": _protocol,  # PROTO
    b"\x95": lambda m: m.number("Q"),  # FRAME, only a hint for buffering
    b"(": lambda m: m.stack.append(_MARK),  # MARK
    b"N": _push(lambda m: None),  # NONE
    b"\x88": _push(lambda m: True),  # NEWTRUE
    b"\x89": _push(lambda m: False),  # NEWFALSE
    b"J": _push(lambda m: m.number("i")),  # BININT
    b"K": _push(lambda m: m.number("B")),  # BININT1
    b"M": _push(lambda m: m.number("H")),  # BININT2
    b"\x8a": _push(lambda m: m.long(m.number("B"))),  # LONG1
    b"G": _push(lambda m: struct.unpack(">d", m.read(8))[0]),  # BINFLOAT
    b"X": _push(lambda m: m.text(m.read(m.number("I")))),  # BINUNICODE
    b"\x8c": _push(lambda m: m.text(m.read(m.number("B")))),  # SHORT_BINUNICODE
    b"\x8d": _push(lambda m: m.text(m.read(m.number("Q")))),  # BINUNICODE8
    b"B": _push(lambda m: m.read(m.number("I"))),  # BINBYTES
    b"C": _push(lambda m: m.read(m.number("B"))),  # SHORT_BINBYTES
    b"\x8e": _push(lambda m: m.read(m.number("Q"))),  # BINBYTES8
    b"\x96": _push(lambda m: m.read(m.number("Q"))),  # BYTEARRAY8, taken as bytes
    b"]": _push(lambda m: []),  # EMPTY_LIST
    b"}": _push(lambda m: {}),  # EMPTY_DICT
    b")": _push(lambda m: ()),  # EMPTY_TUPLE
    b"t": _push(lambda m: tuple(m.pop_to_mark())),  # TUPLE
    b"\x85": _push(lambda m: m.pop_count(1)),  # TUPLE1
    b"\x86": _push(lambda m: m.pop_count(2)),  # TUPLE2
    b"\x87": _push(lambda m: m.pop_count(3)),  # TUPLE3
    b"a": _append,  # APPEND
    b"e": _appends,  # APPENDS
    b"s": _set_item,  # SETITEM
    b"u": lambda m: m.set_items(m.pop_to_mark()),  # SETITEMS
    b"q": lambda m: m.put(m.number("B")),  # BINPUT
    b"r": lambda m: m.put(m.number("I")),  # LONG_BINPUT
    b"\x94": lambda m: m.put(len(m.memo)),  # MEMOIZE
    b"h": lambda m: m.get(m.number("B")),  # BINGET
    b"j": lambda m: m.get(m.number("I")),  # LONG_BINGET
    b"c": lambda m: m.named(m.line(), m.line()),  # GLOBAL
    b"\x93": _stack_global,  # STACK_GLOBAL
    b"R": _reduce,  # REDUCE
    b"\x81": lambda m: m.new_object(),  # NEWOBJ
    b"b": lambda m: m.build(),  # BUILD
    b"Q": lambda m: m.persistent_load(),  # BINPERSID
}


def read_pickle(
    data: bytes,
    constructors: Mapping[str, Constructor],
    allow_global: Callable[[Global], bool] = lambda label: False,
    persistent: Callable[[object], object] | None = None,
) -> object:
    """The object in the pickle `data`, built from plain data only.

    `constructors` maps "module.name" to a function of ours that is called, with the arguments in the file,
    where the file calls that name; it must be harmless for any arguments. `allow_global` says which other
    names may appear: as values, or as the class of an object, which becomes a `Node`. `persistent` resolves
    persistent ids (PyTorch's storages); without it they are refused.

    Raises `UnpicklingError` (a `ModelError`) for anything else.
    """
    if len(data) > MAX_PICKLE_BYTES:
        raise UnpicklingError(f"the pickle has {len(data)} bytes; more than {MAX_PICKLE_BYTES} are refused")
    return _Machine(bytes(data), constructors, allow_global, persistent).run()
