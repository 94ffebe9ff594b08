"""Plain Python and numpy data in specs, as pickled by every protocol."""

import collections
import io
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynet_core.files import meta

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


class Holder:
    """A class that a file may name as the class of an object."""

    from_spec = None


def read_again(value, protocol=4):
    (record,) = meta.read_records(pickle.dumps((Holder, value, "/holder/"), protocol), "model.meta", {})
    return record.spec


def assert_same(found, expected):
    """Check that types and values are the same at every depth."""
    assert type(found) is type(expected)
    if isinstance(expected, np.ndarray):
        assert found.dtype == expected.dtype and found.shape == expected.shape
        assert found.flags.f_contiguous == expected.flags.f_contiguous
        assert found.flags.writeable
        if expected.dtype == object:
            assert_same(found.tolist(), expected.tolist())
        else:
            assert found.tobytes() == expected.tobytes()
    elif isinstance(expected, np.generic):
        assert found.dtype == expected.dtype and found.tobytes() == expected.tobytes()
    elif isinstance(expected, dict):
        assert getattr(found, "default_factory", None) is getattr(expected, "default_factory", None)
        for mine, theirs in zip(found.items(), expected.items(), strict=True):
            assert_same(mine, theirs)
    elif isinstance(expected, (list, tuple, collections.deque)):
        assert getattr(found, "maxlen", None) == getattr(expected, "maxlen", None)
        for mine, theirs in zip(found, expected, strict=True):
            assert_same(mine, theirs)
    else:
        assert found == expected or found != found


PLAIN = [
    None, True, 0, -(10**40), 1.5, float("inf"), float("nan"), 3 - 4j, "", "é\ud800\n", b"", b"\0\xff", bytearray(b""),
    bytearray(b"\0\xff"), range(2, 9, 3), slice(1, None), (), [[], {}], {"a": {1: 2}}, {"x"}, {(1, (2, 3)): b"key"},
    frozenset({(1, frozenset({2}))}), collections.OrderedDict(b=1, a=[2]), collections.Counter("abca"),
    collections.defaultdict(int, x=1), collections.defaultdict(list, x=[1]), collections.defaultdict(set, x={1}),
    collections.defaultdict(dict, x={}), collections.defaultdict(None, x=1), collections.defaultdict(float),
    collections.deque([1, [2]]), collections.deque("abc", 2), int, collections.Counter, np.float32, np.ndarray,
    np.dtype(">i4"), np.str_("é"), np.bytes_(b"x"), np.str_(""), np.datetime64("2020-02-29"), np.bool_(True),
    np.array(["a", None, 2], dtype=object), np.array([["b", 1], [None, 2.5]], dtype=object, order="F"),
]  # fmt: skip
DTYPES = [
    "?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "g", "F", "D", "G", "S3", "U5", "M8",
    "M8[ns]", "m8[25s]", ">f8", ">U3", ">M8[D]",
]  # fmt: skip


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("value", PLAIN, ids=lambda value: f"{type(value).__name__}-{value!r:.20}".replace("\0", "0"))
def test_plain_data_are_read_of_any_protocol(value, protocol):
    assert_same(read_again([value], protocol), [value])


def arrays(dtype):
    """Arrays of the shapes and memory orders that pickles distinguish, and a number."""
    kind = np.dtype(dtype)
    if kind.kind == "U":
        array = np.array([chr(900 + number) * 2 for number in range(24)], kind)
    else:
        array = np.frombuffer(bytes(n % 2 if kind.kind == "b" else n % 251 for n in range(24 * kind.itemsize)), kind)
    array = array.reshape(2, 3, 4).copy()
    read_only = array.copy()
    read_only.flags.writeable = False
    return [
        array, np.asfortranarray(array), array.transpose(1, 0, 2), array[:, ::2], array[:0], array[0, 0, 1:2],
        np.array(array[0, 0, 1]), read_only, array[0, 0, 1],
    ]  # fmt: skip


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_and_numbers_are_read_of_any_protocol(dtype, protocol):
    value = arrays(dtype)
    assert_same(read_again(value, protocol), pickle.loads(pickle.dumps(value, protocol)))


@pytest.mark.parametrize("names", [("numpy.core", "numpy._core"), ("numpy._core", "numpy.core")], ids=["old", "new"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_names_of_both_versions_of_numpy_are_known(names, protocol):
    class Renaming(pickle._Pickler):
        def save_str(self, text):
            super().save_str(text.replace(names[1], names[0]))

        dispatch = {**pickle._Pickler.dispatch, str: save_str}

    file = io.BytesIO()
    Renaming(file, protocol).dump((Holder, arrays("f4"), "/holder/"))
    content = file.getvalue() if protocol >= 4 else file.getvalue().replace(names[1].encode(), names[0].encode())
    assert names[0].encode() in content and names[1].encode() not in content
    (record,) = meta.read_records(content, "model.meta", {})
    assert [value.tolist() for value in record.spec] == [value.tolist() for value in arrays("f4")]


def test_dtypes_of_files_are_not_those_of_the_program():
    before = {text: np.dtype(text).str for text in DTYPES}
    for text in DTYPES:
        swapped = np.dtype(text).newbyteorder("S")
        assert read_again(swapped) == swapped and read_again(swapped) is not np.dtype(text)
    assert {text: np.dtype(text).str for text in DTYPES} == before


def test_arrays_share_no_memory_with_others():
    one = b"\7\7"[:1]  # CPython's cached object for these bytes; a constant of a compiled file is another object
    content = pickle.dumps((Holder, [one, np.array([7], "u1")], "/holder/"), 3)
    assert content.count(b"C\1\7") == 1  # the array holds the bytes from before
    (record,) = meta.read_records(content, "model.meta", {})
    record.spec[1][0] = 9
    assert record.spec[0] == b"\7" == bytes([7])


numbers = st.integers() | st.floats(allow_nan=False) | st.complex_numbers(allow_nan=False)
scalars = st.none() | st.booleans() | numbers | st.text() | st.binary()
keys = scalars | st.tuples(scalars, scalars) | st.frozensets(scalars)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner),
        st.tuples(inner, inner),
        st.dictionaries(keys, inner),
        st.sets(keys),
        st.dictionaries(keys, inner).map(collections.OrderedDict),
        st.dictionaries(keys, inner).map(lambda items: collections.defaultdict(list, items)),
    ),
    max_leaves=20,
)


@given(value=values, protocol=st.sampled_from(PROTOCOLS))
def test_any_plain_value_is_what_pickle_makes_of_it(value, protocol):
    assert_same(read_again(value, protocol), pickle.loads(pickle.dumps(value, protocol)))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_is_shared_stays_shared(protocol):
    inner, array = [1], np.zeros(2)
    ring: list = [inner, inner, array, {"array": array}]
    ring += [ring, {"ring": ring}, (ring,)]
    found = read_again(ring, protocol)
    assert found[0] is found[1] and found[2] is found[3]["array"]
    assert found is found[4] is found[5]["ring"] is found[6][0]
    tuples: tuple = ([],)
    tuples[0].append(tuples)
    found = read_again(tuples, protocol)
    assert found is found[0][0]
