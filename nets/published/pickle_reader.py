"""Reads pickles without running them, and without trusting a number in them.

Python's unpickler makes room for what an opcode announces before it has seen it: a file
of 127 bytes can ask for gigabytes. Here `pickletools` reads the opcodes, which checks
each announced length against what is left of the file, and nothing costs more memory
than a small multiple of the bytes read.
"""

import io
import pickletools
import types
from collections import OrderedDict
from collections.abc import Callable

_MAX_OPCODES = 5_000_000  # those of published checkpoints have some thousands
_MAX_BITS = 1024  # of an integer
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY = {
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_SET": set,
}
# Whose argument is the value.
_VALUES = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"),
    *("FLOAT", "BINFLOAT", "STRING", "BINSTRING", "SHORT_BINSTRING"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
_CONTAINERS = (tuple, list, dict, set, frozenset)


class Ignored:
    """Stands for what is of no use here; what a pickle hangs on it is left out."""


class Function:
    """What a pickle may call, and nothing else."""

    def __init__(self, function: Callable):
        self.function = function


class PickleReader:
    """Reads one pickle from where the file is; behind it, the file goes on.

    Args:
        file: the bytes.
        find: (module, name) -> `Function` or a value, for the names that are known.
        load: identifier -> what is kept outside of the pickle.
    """

    def __init__(self, file: io.BytesIO, find: Callable, load: Callable):
        self._file, self._find, self._load = file, find, load
        self._begin, self._copied = file.tell(), 0
        self._stack, self._below, self._memo = [], [], {}

    def read(self):
        """The object.

        Raises:
            ValueError, TypeError, LookupError: the pickle is damaged, or asks for
                something else than containers, numbers and texts.
        """
        for count, (opcode, argument, _) in enumerate(pickletools.genops(self._file)):
            name = opcode.name
            if count == _MAX_OPCODES:
                raise ValueError(f"it has more than {_MAX_OPCODES:,} opcodes")
            if name == "STOP":
                return self._stack.pop()
            if name in _VALUES:
                self._push(_small(argument))
            elif name in _CONSTANTS:
                self._push(_CONSTANTS[name])
            elif name in _EMPTY:
                self._push(_EMPTY[name]())
            else:
                handler = getattr(self, f"_do_{name.lower()}", None)
                if handler is None:
                    raise ValueError(f"weights need no opcode {name}")
                handler(argument)
        raise ValueError("it has no end")  # genops has raised already

    # What all opcodes are made of.

    def _push(self, value) -> None:
        self._stack.append(value)

    def _pop_to_mark(self) -> list:
        items, self._stack = self._stack, self._below.pop()
        return items

    def _pay(self, *values) -> None:
        """Counts what is copied or walked through, and may be so again and again.

        What is in a file once is copied once: entries are fewer than bytes.
        """
        self._copied += sum(1 + len(v) for v in values if isinstance(v, _CONTAINERS))
        if self._copied > self._file.tell() - self._begin:
            raise ValueError("it copies more than it holds")

    def _key(self, value):
        """The value, if it may be a key: the hash of a nested one can take for ever."""
        self._pay(value)
        parts = value if isinstance(value, tuple) else (value,)
        if any(isinstance(part, (*_CONTAINERS, bytearray)) for part in parts):
            raise TypeError("a key is made of containers")
        return value

    def _call(self, function, arguments) -> None:
        if not isinstance(function, Function) or not isinstance(arguments, tuple):
            raise TypeError(f"a pickle calls a {type(function).__name__}")
        self._pay(arguments, *arguments)
        self._push(function.function(*arguments))

    # The memo. It is a dict: an index makes no room.

    def _do_put(self, index) -> None:
        if not 0 <= index <= self._file.tell() - self._begin:
            raise ValueError(f"it numbers an object {index}, more than it can hold")
        self._memo[index] = self._stack[-1]

    _do_binput = _do_long_binput = _do_put

    def _do_memoize(self, _) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _do_get(self, index) -> None:
        self._push(self._memo[index])

    _do_binget = _do_long_binget = _do_get

    # The stack.

    def _do_mark(self, _) -> None:
        self._below.append(self._stack)
        self._stack = []

    def _do_pop(self, _) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self._pop_to_mark()

    def _do_pop_mark(self, _) -> None:
        self._pop_to_mark()

    def _do_dup(self, _) -> None:
        self._push(self._stack[-1])

    def _do_proto(self, version) -> None:
        if version > 5:
            raise ValueError(f"its protocol is {version}, expected 5 or less")

    def _do_frame(self, length) -> None:
        if length > len(self._file.getbuffer()) - self._file.tell():
            raise ValueError("it is cut off")

    # Containers.

    def _do_tuple(self, _) -> None:
        self._push(tuple(self._pop_to_mark()))

    def _last(self, count: int) -> None:
        items = self._stack[-count:]
        if len(items) < count:
            raise IndexError("a tuple of more than there is")
        self._stack[-count:] = [tuple(items)]

    def _do_tuple1(self, _) -> None:
        self._last(1)

    def _do_tuple2(self, _) -> None:
        self._last(2)

    def _do_tuple3(self, _) -> None:
        self._last(3)

    def _do_list(self, _) -> None:
        self._push(self._pop_to_mark())

    def _do_dict(self, _) -> None:
        items = self._pop_to_mark()
        self._push({})
        self._set(items)

    def _do_frozenset(self, _) -> None:
        self._push(frozenset(map(self._key, self._pop_to_mark())))

    def _do_append(self, _) -> None:
        item = self._stack.pop()
        self._of(list).append(item)

    def _do_appends(self, _) -> None:
        items = self._pop_to_mark()
        self._of(list).extend(items)

    def _do_additems(self, _) -> None:
        items = self._pop_to_mark()
        self._of(set).update(map(self._key, items))

    def _do_setitem(self, _) -> None:
        items = self._stack[-2:]
        del self._stack[-2:]
        self._set(items)

    def _do_setitems(self, _) -> None:
        self._set(self._pop_to_mark())

    def _set(self, items: list) -> None:
        target = self._of(dict)
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[self._key(key)] = value

    def _of(self, kind: type):
        target = self._stack[-1]
        if not isinstance(target, kind):
            raise TypeError(f"a {type(target).__name__} where a {kind.__name__} goes")
        return target

    # Names, calls and what is built with them.

    def _do_global(self, argument) -> None:
        module, _, name = argument.partition(" ")
        self._push(self._find(module, name))

    def _do_stack_global(self, _) -> None:
        module, name = self._stack[-2:]
        del self._stack[-2:]
        if not isinstance(module, str) or not isinstance(name, str):
            raise TypeError("a name that is no text")
        self._push(self._find(module, name))

    def _do_inst(self, argument) -> None:
        self._do_global(argument)
        function = self._stack.pop()
        self._call(function, tuple(self._pop_to_mark()))

    def _do_obj(self, _) -> None:
        function, *arguments = self._pop_to_mark()
        self._call(function, tuple(arguments))

    def _do_reduce(self, _) -> None:
        function, arguments = self._stack[-2:]
        del self._stack[-2:]
        self._call(function, arguments)

    _do_newobj = _do_reduce  # cls.__new__(cls, *arguments)

    def _do_newobj_ex(self, _) -> None:
        if self._stack.pop() != {}:
            raise TypeError("an object with keywords")
        self._do_reduce(None)

    def _do_build(self, _) -> None:
        state, target = self._stack.pop(), self._stack[-1]
        if isinstance(target, types.SimpleNamespace) and isinstance(state, dict):
            self._pay(state)
            vars(target).update(state)
        elif not isinstance(target, Ignored | OrderedDict):  # theirs is left out
            raise TypeError(f"a pickle changes a {type(target).__name__}")

    def _do_persid(self, identifier) -> None:
        self._push(self._load(identifier))

    def _do_binpersid(self, _) -> None:
        identifier = self._stack.pop()
        self._pay(identifier)
        self._push(self._load(identifier))


def _small(value):
    if isinstance(value, int) and value.bit_length() > _MAX_BITS:
        raise ValueError(f"it has an integer of {value.bit_length():,} bits")
    return value
