"""The pickle reader builds plain data and refuses everything else, without executing anything."""

import builtins
import collections
import os
import pickle
import struct
import subprocess

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openmm_so3krates.importers import unpickler
from openmm_so3krates.importers.numpy_pickle import read_array_tree
from openmm_so3krates.importers.unpickler import Global, Node, UnpicklingError, read_pickle

TREE = {
    "params": {
        "a": {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3), "bias": np.array([1.5, 2.5])},
        "b": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
        "empty": np.zeros((0, 3)),
        "scalar": np.float32(0.25),
        "big endian": np.array([1, 2], dtype=">i4"),
    }
}


class Calls:
    """Pickles as a call of `function`; whoever loads it the ordinary way runs it."""

    def __init__(self, function, *args):
        self.function, self.args = function, args

    def __reduce__(self):
        return self.function, self.args


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_arrays(protocol):
    flat = read_array_tree(pickle.dumps(TREE, protocol=protocol))
    expected = {f"params/{name}": TREE["params"][name] for name in ("b", "empty", "scalar", "big endian")}
    expected |= {f"params/a/{name}": array for name, array in TREE["params"]["a"].items()}
    assert flat.keys() == expected.keys()
    for name, array in expected.items():
        assert flat[name].dtype == array.dtype
        np.testing.assert_array_equal(flat[name], array)


INTEGERS = st.integers(-(2**63), 2**63 - 1)
PLAIN = st.recursive(
    st.none() | st.booleans() | INTEGERS | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | INTEGERS, inner),
    max_leaves=20,
)


@settings(max_examples=200, deadline=None)
@given(value=PLAIN, protocol=st.integers(3, 5))
def test_plain_data(value, protocol):
    """Whatever Python pickles of plain data comes back the same."""
    assert read_pickle(pickle.dumps(value, protocol=protocol), {}) == value


def dangerous(marker):
    touch = f"touch {marker}"
    code = f"open({str(marker)!r}, 'w').close()"
    state = pickle.dumps(TREE)
    return {
        "os.system": pickle.dumps(Calls(os.system, touch)),
        "subprocess": pickle.dumps(Calls(subprocess.check_call, ["touch", str(marker)])),
        "eval": pickle.dumps({"params": Calls(builtins.eval, code)}),
        "exec in protocol 2": pickle.dumps(Calls(builtins.exec, code), protocol=2),
        "getattr": pickle.dumps(Calls(getattr, Calls(builtins.__import__, "os"), "system")),
        "nested calls": pickle.dumps([Calls(map, Calls(eval, code), [1])]),
        "after good data": state[:-1] + pickle.dumps(Calls(os.system, touch)),
        "hidden in an array's arguments": pickle.dumps(Calls(np.zeros, Calls(os.system, touch))),
        "old INST instruction": b"(S'" + touch.encode() + b"'\nios\nsystem\n.",
        "old GLOBAL instruction": b"\x80\x02cos\nsystem\n(X" + struct.pack("<I", len(touch)) + touch.encode() + b"tR.",
        "OBJ instruction": b"\x80\x02(cos\nsystem\nX" + struct.pack("<I", len(touch)) + touch.encode() + b"o.",
        "NEWOBJ of a foreign class": b"\x80\x02csubprocess\nPopen\n(X"
        + struct.pack("<I", len(touch))
        + touch.encode()
        + b"t\x81.",
        "BUILD on a dictionary": b"\x80\x02}}b.",
        "BUILD with attributes": b"\x80\x04\x8c\x05numpy\x8c\x07ndarray\x93}b.",
        "call of an allowed name that is no call": b"\x80\x04\x8c\x05numpy\x8c\x07ndarray\x93)R.",
        "call of a list": b"\x80\x04])R.",
        "attribute of a module by a dotted name": b"\x80\x04\x8c\x05numpy\x8c\x0cndarray.dump\x93.",
        "extension registry": b"\x80\x02\x82\x01.",
        "persistent id": b"\x80\x02X\x01\x00\x00\x00aQ.",
        "persistent id as text": b"\x80\x02Pabc\n.",
        "out-of-band buffer": b"\x80\x05\x97.",
    }


def test_nothing_is_executed(tmp_path):
    marker = tmp_path / "executed"
    for name, data in dangerous(marker).items():
        try:
            result = read_array_tree(data)
        except UnpicklingError as error:
            assert "refusing this pickle" in str(error), name
        else:
            pytest.fail(f"{name}: {result}")
        assert not marker.exists(), f"{name} was executed"


BROKEN = {
    "nothing": b"",
    "no STOP": b"\x80\x04}",
    "unknown instruction": b"\x80\x04\xff.",
    "unknown protocol": b"\x80\x06}.",
    "text protocol": b"(dp0\n.",
    "stack empty": b"\x80\x04.",
    "two results": b"\x80\x04}}.",
    "mark missing": b"\x80\x04K\x01t.",
    "mark as a value": b"\x80\x04(.",
    "mark remembered": b"\x80\x04(q\x00.",
    "memo missing": b"\x80\x04h\x07.",
    "key without value": b"\x80\x04}(K\x01u.",
    "list as key": b"\x80\x04}]K\x01s.",
    "tuple as key": b"\x80\x04})K\x01s.",
    "item of a number": b"\x80\x04K\x01K\x01K\x01s.",
    "append to a number": b"\x80\x04K\x01K\x01a.",
    "huge BINBYTES": b"\x80\x04B\xff\xff\xff\xffabc.",
    "huge BINBYTES8": b"\x80\x04\x8e" + b"\xff" * 8 + b"abc.",
    "huge BINUNICODE8": b"\x80\x04\x8d" + b"\xff" * 7 + b"\x7f" + b"abc.",
    "huge LONG1": b"\x80\x04\x8a\xff" + b"\x01" * 255 + b".",
    "LONG4": b"\x80\x04\x8b\x08\x00\x00\x00" + b"\x01" * 8 + b".",
    "not UTF-8": b"\x80\x04X\x02\x00\x00\x00\xff\xfe.",
    "name without end": b"\x80\x02cos",
    "name of a million letters": b"\x80\x02c" + b"a" * 1_000_000 + b"\nb\n.",
    "global of numbers": b"\x80\x04K\x01K\x02\x93.",
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken(name):
    with pytest.raises(UnpicklingError):
        read_array_tree(BROKEN[name])


def test_deep_nesting_is_no_recursion():
    depth = 200_000
    nested = read_pickle(b"\x80\x04" + b"]" * depth + b"a" * (depth - 1) + b".", {})
    for _ in range(depth - 1):
        (nested,) = nested
    assert nested == []


def test_deep_or_circular_trees_are_refused():
    deep = b"\x80\x04" + b"}X\x01\x00\x00\x00a" * 50 + b"}" + b"s" * 50 + b"."
    with pytest.raises(UnpicklingError, match="nested too deeply"):
        read_array_tree(deep)
    circular = b"\x80\x04}q\x00X\x01\x00\x00\x00ah\x00s."
    with pytest.raises(UnpicklingError, match="nested too deeply"):
        read_array_tree(circular)
    # Each level names the one below twice: 2^30 leaves in a file of 600 bytes.
    name = b"X\x01\x00\x00\x00"
    bush = b"}q\x00"
    for level in range(30):
        bush = b"}" + name + b"a" + bush + b"s" + name + b"bh" + bytes([level]) + b"sq" + bytes([level + 1])
    with pytest.raises(UnpicklingError, match="nested too deeply or too many"):
        read_array_tree(b"\x80\x04" + bush + b".")


def test_too_many_instructions(monkeypatch):
    monkeypatch.setattr(unpickler, "MAX_INSTRUCTIONS", 100)
    with pytest.raises(UnpicklingError, match="more than 100 instructions"):
        read_pickle(b"\x80\x04" + b"]" * 1000 + b".", {})


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1, 2], "holds a list"),
        ({"a": "text"}, "holds a str"),
        ({1: np.zeros(2)}, "not text"),
        ({"a": np.array(["x"])}, "type 'U1'"),
        ({"a": np.array([None])}, "type 'O8'"),
        ({"a": np.array([(1, 2.0)], dtype=[("x", "i4"), ("y", "f8")])}, "type 'V12'"),
        (collections.OrderedDict(a=1), "OrderedDict"),
        ({"a": {1, 2}}, "instruction"),
        ({"a": 1j}, "complex"),
    ],
)
def test_other_data(value, message):
    with pytest.raises(UnpicklingError, match=message):
        read_array_tree(pickle.dumps(value))


def test_array_content_must_fit_its_shape():
    good = pickle.dumps({"a": np.arange(4, dtype=np.float64)})
    assert read_array_tree(good)["a"].shape == (4,)
    position = good.index(b"K\x04\x85")  # the shape (4,)
    for wrong in (3, 5, 255):
        with pytest.raises(UnpicklingError, match="array"):
            read_array_tree(good[: position + 1] + bytes([wrong]) + good[position + 2 :])


@settings(max_examples=500, deadline=None)
@given(data=st.data())
def test_damaged_pickles_are_refused_or_plain(data):
    changed = bytearray(pickle.dumps(TREE))
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    try:
        flat = read_array_tree(bytes(changed))
    except UnpicklingError:
        return
    assert all(isinstance(array, np.ndarray) for array in flat.values())


def test_objects_become_inert_nodes():
    data = b"\x80\x02csome.package\nThing\n)\x81}X\x01\x00\x00\x00aK\x05sb."
    label = Global("some.package", "Thing")
    assert read_pickle(data, {}, allow_global=lambda found: found == label) == Node(label, (), {"a": 5})
    with pytest.raises(UnpicklingError, match=r"some\.package\.Thing"):
        read_pickle(data, {})
