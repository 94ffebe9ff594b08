"""Initializers: literal values were printed by DyNet 2.1 (dyNET38) under the same seeds."""

import copy
import doctest
import math
import os
import pickle
import platform
import time
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynet_core import initializer, reset_random_seed
from dynet_core.initializer import (
    ConstInitializer,
    FromFileInitializer,
    GlorotInitializer,
    IdentityInitializer,
    InitializerError,
    NormalInitializer,
    NumpyInitializer,
    PyInitializer,
    SaxeInitializer,
    UniformInitializer,
    initializer_from,
)
from dynet_core.random.random_stream import InitialStream, stream

# Slow examples on a busy machine are not a failure.
steady = settings(deadline=None)
DIMS = st.lists(st.integers(1, 5), min_size=1, max_size=5).map(tuple)
DRAWN = st.sampled_from(
    [NormalInitializer(1, 4), UniformInitializer(0.5), GlorotInitializer(gain=2), ConstInitializer(3)]
)


def parameter(dim, init=None, **options):
    return initializer_from(init, dim, **options).values(dim)


def lookup(dim, init=None, **options):
    return initializer_from(init, dim, lookup=True, **options).values(dim, lookup=True)


def same(values, expected):
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, np.array(expected, np.float32), strict=True)


def stored(values, is_lookup=False):
    """The values in memory order, after a check that memory has this order."""
    values = np.moveaxis(values, 0, -1) if is_lookup else values
    assert values.flags.f_contiguous and values.flags.writeable
    return values.reshape(-1, order="F")


def test_examples():
    assert doctest.testmod(initializer).failed == 0


def test_one_seed_many_kinds_of_parameters():
    reset_random_seed(42)
    same(parameter((2, 3)), [[-0.27486885, 0.98746556, 0.50827324], [0.6496932, -0.69355965, 0.6127723]])
    same(parameter((3,), NormalInitializer()), [1.5885563, 1.6182171, -0.18712468])
    same(parameter((3,), NormalInitializer(mean=1, var=0.25)), [0.96829, 0.65612775, 0.80705416])
    same(parameter((2,), UniformInitializer(0.7)), [0.14156099, -0.49998644])
    same(parameter((2, 2), ConstInitializer(0.5)), [[0.5, 0.5], [0.5, 0.5]])
    same(lookup((3, 2)), [[0.45586425, 0.33058015], [-1.0503467, -0.97185355], [1.029521, 0.4863749]])
    same(
        lookup((3, 2), GlorotInitializer(is_lookup=True)),
        [[0.81431484, 1.0742304], [-0.7046224, -1.2228373], [-0.7793665, 1.2056673]],
    )
    same(
        lookup((2, 3, 2), GlorotInitializer(gain=0.5)),
        [
            [[-0.35898554, 0.12660277], [0.13321152, 0.028071154], [-0.22196841, -0.5589343]],
            [[-0.07716709, 0.028091835], [-0.54079634, 0.12682924], [-0.2367239, -0.113546975]],
        ],
    )
    same(
        parameter((2, 1, 2, 1)),
        [[[[-0.72101223], [-0.4157107]]], [[[-0.90666866], [0.9475111]]]],
    )
    same(
        parameter((2, 2), GlorotInitializer(is_lookup=True, gain=4.0)),
        [[-1.3093811, -0.4304246], [-2.6182957, -4.0112214]],
    )
    same(parameter((2, 2), IdentityInitializer()), [[1, 0], [0, 1]])
    # Saxe's matrix equals DyNet's up to the signs of the columns.
    saxe = parameter((2, 2), SaxeInitializer())
    np.testing.assert_allclose(np.abs(saxe), [[0.9276154, 0.37353656], [0.37353656, 0.9276154]], atol=1e-5)
    same(
        lookup((2, 2), "normal", mean=2.0, std=0.1),
        [[2.0366883, 2.0010808], [1.9136506, 2.2400913]],
    )
    same(lookup((2, 2), "uniform", scale=3.0), [[-2.7212975, 2.1596425], [0.64526904, 1.0818454]])
    same(parameter((2, 2), "he"), [[-0.09466168, 0.033551347], [-0.6300662, 0.24684821]])
    same(
        lookup((2, 3), "he"),
        [[-0.18397816, 0.49517062, -0.081785336], [-0.12227338, -0.44785553, 0.31860188]],
    )
    same(lookup((3,)), [-0.11969501, 0.36652708, -0.7559235])
    same(parameter((1, 1, 1, 1, 2)), [[[[[0.34784004, -0.015251946]]]]])


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the last bit of logf depends on the C library")
def test_large_parameters():
    reset_random_seed(2024)
    assert zlib.crc32(stored(parameter((100_001,), NormalInitializer()))) == 1514939560
    assert zlib.crc32(stored(lookup((1000, 128)), is_lookup=True).copy()) == 509525203
    assert zlib.crc32(stored(parameter((317, 211), NormalInitializer(-0.3, 0.01)))) == 920372925
    assert zlib.crc32(stored(parameter((200, 300)))) == 152451701


@steady
@given(DRAWN, DIMS, st.booleans(), st.integers(0, 99))
def test_memory_holds_the_draws_in_order(init, dim, is_lookup, seed):
    reset_random_seed(seed)
    values = init.values(dim, is_lookup)
    assert values.shape == dim and values.dtype == np.float32
    reset_random_seed(seed)
    drawn = init.draw(dim[1:] + dim[:1] if is_lookup else dim)
    np.testing.assert_array_equal(stored(values, is_lookup), drawn)


@steady
@given(DRAWN, st.lists(DIMS, max_size=4), st.integers(0, 99))
def test_the_stream_is_shared_by_all_that_is_created(init, dims, seed):
    reset_random_seed(seed)
    first = [init.values(dim) for dim in dims]
    reset_random_seed(seed)
    for dim, values in zip(dims, first, strict=True):
        np.testing.assert_array_equal(init.values(dim), values)


@pytest.mark.parametrize(
    ("dim", "is_lookup", "init", "bound"),
    [
        ((30, 20), False, GlorotInitializer(), math.sqrt(6 / 50)),
        ((500,), False, GlorotInitializer(), math.sqrt(3 / 500)),
        ((10, 5, 6), False, GlorotInitializer(), math.sqrt(9 / 21)),
        ((5, 4, 3, 2), False, GlorotInitializer(), math.sqrt(6 / (5 * 20))),
        ((7, 5, 4, 3, 2), True, GlorotInitializer(is_lookup=True), math.sqrt(6 / (5 * 20))),
        ((100, 5), True, GlorotInitializer(), math.sqrt(6 / 105)),
        ((100, 5), True, GlorotInitializer(is_lookup=True), math.sqrt(3 / 5)),
        ((100, 5), False, GlorotInitializer(is_lookup=True), math.sqrt(3 / 100)),
        ((30, 20), False, GlorotInitializer(gain=0.5), 0.5 * math.sqrt(6 / 50)),
    ],
)
def test_glorot_range_and_moments(dim, is_lookup, init, bound):
    reset_random_seed(3)
    values = init.values(dim, is_lookup)
    assert 0.95 * bound < np.abs(values).max() <= np.float32(bound)
    assert values.var() == pytest.approx(bound**2 / 3, rel=0.2)
    assert abs(values.mean()) < 0.2 * bound


def test_gain_zero_and_variance_zero_give_constants():
    same(GlorotInitializer(gain=0).values((2,)), [0, 0])
    same(NormalInitializer(3, 0).values((2,)), [3, 3])


@pytest.mark.parametrize("side", [1, 2, 5, 40])
def test_saxe_is_orthonormal(side):
    reset_random_seed(side)
    matrix = SaxeInitializer(scale=3).values((side, side))
    np.testing.assert_allclose(matrix.T @ matrix, 9 * np.eye(side), atol=1e-4)
    # It has read one word per element, as DyNet does.
    expected = InitialStream(side)
    expected.uniform(0, 1, side * side)
    same(stream().uniform(0, 1, 2), expected.uniform(0, 1, 2))


def test_saxe_columns_have_random_signs():
    reset_random_seed(1)
    corners = [SaxeInitializer().values((3, 3))[0, 0] for _ in range(400)]
    assert abs(np.mean(corners)) < 0.1


def test_identity_draws_nothing_and_works_for_lookups():
    reset_random_seed(5)
    same(IdentityInitializer().values((3, 3), lookup=True), np.eye(3))
    same(stream().uniform(0, 1, 1), InitialStream(5).uniform(0, 1, 1))


def test_constants():
    same(ConstInitializer(-2).values((2, 3)), np.full((2, 3), -2))
    same(ConstInitializer(-math.inf).values((1,)), [-math.inf])


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int64", "uint8", "bool", ">f4"])
@pytest.mark.parametrize("dim", [(4,), (2, 3), (2, 3, 2)])
@pytest.mark.parametrize("is_lookup", [False, True])
def test_arrays_come_back_as_they_are(dtype, dim, is_lookup):
    array = np.arange(math.prod(dim)).reshape(dim).astype(dtype)
    init = NumpyInitializer(array)
    array[...] = 0
    values = init.values(dim, is_lookup)
    same(values, np.arange(math.prod(dim)).reshape(dim).astype(dtype).astype("f4"))
    stored(values, is_lookup)[...] = 7
    assert not np.array_equal(init.values(dim, is_lookup), values)


def test_arrays_of_any_layout():
    grid = np.arange(24.0).reshape(4, 6)
    for array in (grid.T, grid[::2, ::-1], np.asfortranarray(grid)):
        same(NumpyInitializer(array).values(array.shape), array)
    same(NumpyInitializer(np.array([math.nan, math.inf])).values((2,)), [math.nan, math.inf])


@pytest.mark.parametrize("text", ["1 2 3 4 5 6", "1\n2\t3\r\n4  5 6\n\n", " 1\v2\f3 4 5 6", "1e0 +2 3. .4e1 5 60e-1"])
def test_files(tmp_path, text):
    path = tmp_path / "numbers.txt"
    path.write_bytes(text.encode())
    for name in (path, str(path), os.fsencode(path)):
        same(FromFileInitializer(name).values((2, 3)), [[1, 3, 5], [2, 4, 6]])
    same(FromFileInitializer(path).values((2, 3), lookup=True), [[1, 2, 3], [4, 5, 6]])


def test_a_lookup_file_holds_rows_column_by_column(tmp_path):
    path = tmp_path / "numbers.txt"
    path.write_text(" ".join(str(number) for number in range(1, 13)))
    same(
        FromFileInitializer(path).values((2, 3, 2), lookup=True),
        [[[1, 4], [2, 5], [3, 6]], [[7, 10], [8, 11], [9, 12]]],
    )


def test_files_keep_special_numbers(tmp_path):
    path = tmp_path / "numbers.txt"
    path.write_text("nan inf -inf 1e-45 3.4028235e+38")
    same(FromFileInitializer(path).values((5,)), [math.nan, math.inf, -math.inf, 1e-45, 3.4028235e38])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2 3", "holds 3 numbers but needs 4"),
        ("1 2 3 4 5", "holds 5 numbers but needs 4"),
        ("", "holds 0 numbers"),
        ("1 2 x 4", "holds 'x', which is not a number"),
        ("1 2 3_0 4", "holds '3_0', which is not a number"),
        ("1, 2, 3, 4", "holds '1,', which is not a number"),
        ("1 2 3 \0", "which is not a number"),
        ("1 2 3 \u0663", "which is not a number"),
        ("1 2 3 1e39", "holds 1e39, which float32 cannot hold"),
        ("1 2 3 0x10", "holds '0x10', which is not a number"),
    ],
)
def test_damaged_files(tmp_path, text, message):
    path = tmp_path / "numbers.txt"
    path.write_bytes(text.encode())
    with pytest.raises(InitializerError, match=message):
        FromFileInitializer(path).values((4,))


def test_missing_files(tmp_path):
    with pytest.raises(FileNotFoundError):
        FromFileInitializer(tmp_path / "none").values((2,))
    with pytest.raises(OSError):
        FromFileInitializer(tmp_path).values((2,))
    with pytest.raises(TypeError):
        FromFileInitializer(3)


@pytest.mark.parametrize(
    ("init", "expected"),
    [
        (None, GlorotInitializer()),
        ("glorot", GlorotInitializer()),
        ("uniform", UniformInitializer(0.5)),
        ("saxe", SaxeInitializer(0.5)),
        ("normal", NormalInitializer(2, 9)),
        ("identity", IdentityInitializer()),
        ("he", NormalInitializer(0, 0.125)),
        (0, ConstInitializer(0)),
        (-1.5, ConstInitializer(-1.5)),
        (True, ConstInitializer(1)),
        (np.float32(3), ConstInitializer(3)),
        (np.int64(3), ConstInitializer(3)),
        (np.bool_(True), ConstInitializer(1)),
        (GlorotInitializer(gain=2), GlorotInitializer(gain=2)),
    ],
)
def test_what_users_pass_as_init(init, expected):
    assert initializer_from(init, (4, 4), scale=0.5, mean=2, std=3) == expected


def test_arrays_lists_and_tuples_as_init():
    for init in (np.arange(4).reshape(2, 2), [[0, 1], [2, 3]], ((0, 1), (2, 3))):
        same(parameter((2, 2), init), [[0, 1], [2, 3]])
        same(lookup((2, 2), init), [[0, 1], [2, 3]])


def test_initializers_of_ones_own():
    class Half(PyInitializer):
        def draw(self, dim):
            return np.ones(math.prod(dim) // 2)

    with pytest.raises(InitializerError, match=r"Half: draw gave shape \(3,\), .* has 6 values"):
        Half().values((2, 3))
    with pytest.raises(NotImplementedError, match="PyInitializer must override draw"):
        PyInitializer().values((2, 3))


@pytest.mark.parametrize("init", [NormalInitializer(1, 2), FromFileInitializer("x"), SaxeInitializer()])
def test_initializers_can_be_copied_pickled_and_compared(init):
    assert copy.deepcopy(init) == init == pickle.loads(pickle.dumps(init))


def test_a_pickled_array():
    init = pickle.loads(pickle.dumps(NumpyInitializer([1, 2])))
    same(init.values((2,)), [1, 2])


def test_large_tables_are_quick():
    started = time.process_time()
    lookup((100_000, 128))
    assert time.process_time() - started < 2
