"""Random stream of initial values: literal values were printed by DyNet 2.1 (dyNET38) under the same seeds."""

import doctest
import pickle
import platform
import threading
import zlib
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynet_core import reset_random_seed
from dynet_core.random import random_stream
from dynet_core.random.random_stream import InitialStream, stream

# Slow examples on a busy machine are not a failure.
steady = settings(deadline=None)
SEEDS = st.integers(0, 2**32 - 1)
FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False, min_value=-1e6, max_value=1e6)


def same(values, expected):
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, np.array(expected, np.float32))


def test_a_pickled_stream_continues_where_it_is():
    reset_random_seed(3)
    stream().normal(0, 1, 7)  # leaves words that are drawn but not read
    copied = pickle.loads(pickle.dumps(stream()))
    expected = stream().uniform(0, 1, 5)
    reset_random_seed(4)
    random_stream.continue_with(copied)
    same(stream().uniform(0, 1, 5), expected)


def test_examples():
    assert doctest.testmod(random_stream).failed == 0


@pytest.mark.parametrize(
    ("seed", "expected"),
    [
        (0, [0.09762704, 0.18568921, 0.43037868]),
        (42, [-0.25091976, 0.593086, 0.9014286]),
        (2**32 - 1, [-0.80473596, -0.7767867, 0.8247657]),
    ],
)
def test_uniform_is_dynets(seed, expected):
    same(InitialStream(seed).uniform(-1, 1, 3), expected)


def test_a_word_that_rounds_up_to_one_stays_below_the_bound():
    same(InitialStream(199406).uniform(-1, 1, 566)[-2:], [0.4996394, 0.9999999])


def test_normal_is_dynets():
    same(InitialStream(1).normal(10, 2, 3), [10.612799, 10.312131, 9.151228])


def test_bernoulli_is_dynets():
    same(InitialStream(1).bernoulli(0.5, 12), [0, 0, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0])


def test_long_uniform_draws_are_dynets():
    draws = InitialStream(5)
    assert zlib.crc32(draws.uniform(-0.3, 0.3, 200_001).tobytes()) == 3208265609
    same(draws.uniform(-1, 1, 2), [0.10496032, -0.39262354])


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the last bit of logf depends on the C library")
def test_long_normal_draws_are_dynets():
    draws = InitialStream(5)
    assert zlib.crc32(draws.normal(-0.3, 0.5, 300_001).tobytes()) == 2691513652
    same(draws.uniform(-1, 1, 2), [-0.1547057, -0.074968696])


def test_without_logf_normal_draws_differ_in_the_last_bit_at_most(monkeypatch):
    expected = InitialStream(5).normal(0, 1, 100_001)
    monkeypatch.setattr(random_stream, "_c_logf", lambda: None)
    values = InitialStream(5).normal(0, 1, 100_001)
    np.testing.assert_array_max_ulp(values, expected, maxulp=2)
    assert np.mean(values != expected) < 0.01


@steady
@given(SEEDS, st.lists(st.integers(0, 9), max_size=6))
def test_parts_of_a_uniform_draw_make_the_whole(seed, counts):
    parts, whole = InitialStream(seed), InitialStream(seed)
    drawn = [parts.uniform(-2, 3, count) for count in counts]
    same(np.concatenate([np.empty(0, np.float32), *drawn]), whole.uniform(-2, 3, sum(counts)))


@steady
@given(SEEDS, st.lists(st.integers(0, 4), max_size=6))
def test_even_parts_of_a_normal_draw_make_the_whole(seed, halves):
    parts, whole = InitialStream(seed), InitialStream(seed)
    drawn = [parts.normal(1, 2, 2 * half) for half in halves]
    same(np.concatenate([np.empty(0, np.float32), *drawn]), whole.normal(1, 2, 2 * sum(halves)))
    same(parts.uniform(0, 1, 3), whole.uniform(0, 1, 3))


@steady
@given(SEEDS, st.integers(0, 30))
def test_an_odd_normal_draw_is_an_even_one_cut_short(seed, half):
    odd, even = InitialStream(seed), InitialStream(seed)
    same(odd.normal(0, 1, 2 * half + 1), even.normal(0, 1, 2 * half + 2)[:-1])
    same(odd.bernoulli(0.5, 9), even.bernoulli(0.5, 9))


def test_results_do_not_depend_on_the_block_size(monkeypatch):
    expected = [InitialStream(3).uniform(0, 1, 1000), InitialStream(3).normal(0, 1, 1000)]
    expected.append(InitialStream(3).bernoulli(0.3, 1000))
    monkeypatch.setattr(random_stream, "NUMBERS_AT_ONCE", 7)
    same(InitialStream(3).uniform(0, 1, 1000), expected[0])
    same(InitialStream(3).normal(0, 1, 1000), expected[1])
    same(InitialStream(3).bernoulli(0.3, 1000), expected[2])


@steady
@given(SEEDS, FLOATS, FLOATS)
def test_uniform_stays_within_its_bounds(seed, one, other):
    low, high = sorted([one, other])
    values = InitialStream(seed).uniform(low, high, 50)
    assert np.all((low <= values) & (values <= high))


def test_moments():
    draws = InitialStream(8)
    uniform, normal, ones = draws.uniform(2, 6, 10**6), draws.normal(3, 2, 10**6), draws.bernoulli(0.3, 10**6)
    assert [uniform.mean(), uniform.var()] == pytest.approx([4, 16 / 12], rel=0.01)
    assert [normal.mean(), normal.var()] == pytest.approx([3, 4], rel=0.01)
    assert np.mean((normal - 3) ** 4) == pytest.approx(3 * 16, rel=0.02)
    assert ones.mean() == pytest.approx(0.3, rel=0.01)
    assert set(ones.tolist()) == {0, 1}


def test_probabilities_zero_and_one():
    assert not InitialStream(1).bernoulli(0, 1000).any()
    assert InitialStream(1).bernoulli(1, 1000).all()


@steady
@given(FLOATS, FLOATS, FLOATS)
def test_fused_multiply_add_rounds_once(a, b, c):
    values = np.array([a, b, c], np.float32)
    result = random_stream._fused_multiply_add(values[:1], values[1:2], values[2:])[0]
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    error = abs(Fraction(float(result)) - exact)
    for neighbour in (np.nextafter(result, np.float32(-np.inf)), np.nextafter(result, np.float32(np.inf))):
        assert error <= abs(Fraction(float(neighbour)) - exact)


@pytest.mark.parametrize(("c", "last_bit"), [(-(2.0**-60), 0), (0, 0), (2.0**-60, 1)])
def test_fused_multiply_add_where_float64_rounds_twice(c, last_bit):
    # The product is midway between two float32; c is too small for the float64 sum, but decides the rounding.
    a = np.array([1 + 2.0**-12], np.float32)
    assert Fraction(float(a[0])) ** 2 == 1 + Fraction(1, 2**11) + Fraction(1, 2**24)
    assert random_stream._fused_multiply_add(a, a, np.float32(c))[0] == 1 + 2.0**-11 + last_bit * 2.0**-23


def test_the_current_stream_restarts():
    reset_random_seed(42)
    first = stream().uniform(-1, 1, 5)
    stream().normal(0, 1, 3)
    reset_random_seed(42)
    same(stream().uniform(-1, 1, 5), first)
    assert stream().seed == 42


def test_without_a_seed_streams_differ():
    assert len({InitialStream().seed for _ in range(5)}) > 1


def test_threads_share_a_stream_without_repeating_numbers():
    shared, drawn = InitialStream(6), []

    def draw():
        for _ in range(50):
            drawn.append(shared.normal(0, 1, 100))

    threads = [threading.Thread(target=draw) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    same(np.sort(np.concatenate(drawn)), np.sort(InitialStream(6).normal(0, 1, 20_000)))


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_seeds_out_of_range(seed):
    with pytest.raises(ValueError, match=f"between 0 and 4294967295 but got {seed}"):
        reset_random_seed(seed)


@pytest.mark.parametrize("seed", [1.5, "1", None])
def test_seeds_that_are_no_whole_numbers(seed):
    with pytest.raises((TypeError, ValueError), match="the seed must be"):
        reset_random_seed(seed)


def test_a_refused_seed_leaves_the_stream():
    reset_random_seed(9)
    with pytest.raises(ValueError):
        reset_random_seed(-1)
    assert stream().seed == 9


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda s: s.uniform(1, 0, 3), "low 1, high 0"),
        (lambda s: s.uniform(float("nan"), 1, 3), "low must be a finite float32"),
        (lambda s: s.uniform(-3e38, 3e38, 3), "high - low must be a finite float32"),
        (lambda s: s.normal(0, -1, 3), "std must be 0 or more but got -1"),
        (lambda s: s.normal(1e39, 1, 3), "mean must be a finite float32"),
        (lambda s: s.bernoulli(1.5, 3), "between 0 and 1 but got 1.5"),
        (lambda s: s.bernoulli(float("nan"), 3), "between 0 and 1 but got nan"),
    ],
)
def test_refused_arguments_draw_nothing(draw, message):
    draws = InitialStream(4)
    with pytest.raises(ValueError, match=message):
        draw(draws)
    same(draws.uniform(0, 1, 2), InitialStream(4).uniform(0, 1, 2))
