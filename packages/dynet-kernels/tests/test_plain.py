"""What plain functions may contain, how they differ from Python when compiled, and what refuses the rest.

Each function of PROGRAMS runs twice on the same memory: as Python, and compiled by TVM.
"""

import ctypes
import random
import sys
import tempfile
import threading
import traceback
from pathlib import Path

import pytest

from dynet_kernels import tir
from dynet_kernels.cache import load_objects
from dynet_kernels.plain import Words, plain, popcount
from dynet_kernels.plain.rewriting import _emitter, rewritten

SIZE = 16


def compiled(function):
    from dynet_kernels.machine import compile_cpu
    from dynet_kernels.target import host_cpu
    from dynet_kernels.tvm_modules import ir

    module = ir.IRModule({"main": tir.emitted("main", lambda memory: function(Words(memory)))})
    path = Path(tempfile.mkdtemp()) / "main.o"
    compile_cpu(module, host_cpu().tvm_target()).write_to_file(str(path))
    return load_objects([path.read_bytes()]).get_function("main")


@plain
def branches(w):
    if w[0] > 3 and w[1] != 0 or w[2] < 0:
        w[3] = 1
    elif not w[4]:
        w[3] = 2
    else:
        w[3] = w[5] if w[5] > 7 else -w[5]


@plain
def loops(w):
    total = 0
    for k in range(2, 6):
        if w[k] < 0:
            continue
        if w[k] > 90:
            break
        total += w[k] * k
    n = total
    while n > 0 and n != 7:
        n = (n >> 1) - 1
        total ^= n
    w[7] = total + n


@plain
def short_circuit(w):
    """`and` guards what follows it: the place -1 is not read."""
    place = w[0] & 1
    if place and w[place - 1] > 5:
        w[8] = w[place]
    w[9] = 3 if place == 0 or w[place - 1] < 5 else 4


@plain
def clamp(x, low, high):
    if x < low:
        return low
    if x > high:
        return high
    return x


@plain
def inlined(w):
    """`return` in a function that is inlined leaves only that function."""
    w[10] = clamp(w[0], 10, 20)
    w[11] = clamp(w[1], w[2], w[3])


@plain
def pairs(w, count):
    for k in range(count):
        if w[k] > 0:
            yield k, w[k]


@plain
def generators(w):
    most = 0
    for k, x in pairs(w, 6):
        most = max(most, x * k)
    w[12] = most


class Named:
    @plain
    def clamp(self, x):
        """A method may call a function of its name."""
        return clamp(x, 1, 5)


@plain
def names(w):
    w[3] = Named().clamp(w[0])


@plain
def swap(w):
    """Values are read when they are assigned."""
    a, b = w[0], w[1]
    w[0] = b
    w[1] = a
    a = a + 1
    b = a
    a = a * 2
    w[13] = b


@plain
def nested(w):
    count = 0

    def note(x):
        nonlocal count
        if x > 10:
            count += 1

    for k in range(5):
        note(w[k])
    for k in (1, 3):
        note(w[k])
    w[14] = count


@plain
def nested_twice(w):
    """A function inside of another one may change a variable of the one around both."""
    count = 0

    def outer(x):
        def inner(y):
            nonlocal count
            count += y

        inner(x)
        if x > count:
            w[1] = count

    for k in range(2, 5):
        outer(w[k])
    w[0] = sum([1 for k in (1, 2)]) + count


@plain
def returns_from_blocks(w):
    """Only one of the ends of a function has a result, or none."""

    def set_one(x):
        if x > 5:
            if x > 50:
                return
            w[1] = x
            return
        w[2] = x

    set_one(w[0])
    set_one(w[3])


@plain
def width(w):
    w[15] = popcount(w[0] - w[1]) + popcount(1 << (w[2] & 63)) + ((1 << 63) >> 60 & 1)
    w[14] |= 1 << (w[2] & 63)
    w[13] = (w[0] & 0xFFFFFFFF) + (w[1] | 1 << 40) + (w[2] ^ 1 << 50)
    w[14] ^= 1 << 45


LARGE = (1 << 62) + (1 << 33)


@plain
def large_constants(w):
    w[3] = w[0] & LARGE
    w[4] = LARGE | w[1]
    w[5] ^= LARGE
    if w[2] - w[5] < LARGE:
        w[6] = 1


@plain
def divisions(w):
    """`//` and `%` round down, as in Python."""
    w[6] = w[0] // 7 + w[1] % 5
    if w[2] > 0:
        w[7] = w[3] // w[2] + w[4] % w[2]


@plain
def branches_of_static_things(w, wide=True):
    if w[0] > 3:
        if wide:
            w[1] = 7
        else:
            w[1] = 8
    else:
        w[1] = 9


@plain
def conditions_are_numbers(w):
    """A condition that is stored is 1 or 0."""
    w[5] = w[0] == w[1]
    w[6] = not w[2]
    w[7] = w[3] > 0 and w[4] > 0


@plain
def repeated_divisions(w):
    """A quotient may be used several times, in conditions that tell more about it."""
    if w[1] > 0:
        quotient = (w[0] << 20) // w[1] * w[2] >> 20
        gain = min(0, quotient - w[3])
        w[5] = max(-20, min(9, w[4] + gain)) + w[0] % w[1]
        w[6] = quotient if quotient > 0 else -quotient


def as_reals(w):
    return Words(w.address if w.memory is None else ctypes.addressof(w.memory), "float64")


@plain
def real_numbers(w):
    reals = as_reals(w)
    reals[3] = 0.5
    reals[4] = 2
    if reals[3] < reals[4]:
        w[5] = 1


PROGRAMS = [
    repeated_divisions,
    real_numbers,
    names,
    large_constants,
    conditions_are_numbers,
    branches_of_static_things,
    divisions,
    branches,
    loops,
    short_circuit,
    inlined,
    generators,
    swap,
    nested,
    nested_twice,
    returns_from_blocks,
    width,
]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.__name__)
def test_compiled_code_does_what_python_does(program):
    run, dice = compiled(program), random.Random(1)
    for _ in range(300):
        numbers = [dice.choice([0, 1, -1, dice.randrange(-100, 100), dice.randrange(12)]) for _ in range(SIZE)]
        one, two = (ctypes.c_int64 * SIZE)(*numbers), (ctypes.c_int64 * SIZE)(*numbers)
        program(Words(one))
        run(ctypes.addressof(two))
        assert [*one] == [*two], numbers


def test_a_place_may_be_an_address():
    number = ctypes.c_float(2.5)
    floats, place = Words(0, "float32"), ctypes.addressof(number) // 4
    floats[place] = 2 * floats[place]
    assert number.value == 5


def refused(function):
    with pytest.raises(SyntaxError) as found:
        rewritten(function)
    return found.value


def test_what_is_refused():
    def tries(w):
        try:
            w[0] = 1
        finally:
            pass

    def leaves_a_loop(w):
        for k in range(3):
            if w[k]:
                return

    def breaks_a_generator(w):
        for _ in pairs(w, 3):
            break

    def chain(w):
        w[0] = 0 < w[1] < 3

    def compares_objects(w):
        if w is None:
            w[0] = 1

    def loop_and_variable(w):
        k = 1
        k += 1
        for k in range(3):
            w[k] = 1

    def after_the_loop(w):
        for k in range(3):
            w[k] = 1
        w[k] = 2

    def returns_sometimes(w):
        if w[0]:
            return w[1]

    def divides(w):
        w[0] = w[1] / w[2]

    def raises_to_a_power(w):
        w[0] **= 2

    def after_the_block(w):
        if w[0]:
            x = w[1]
        w[2] = x

    for function, text in (
        (returns_sometimes, "a `return` that is not at the end of an `if`"),
        (divides, "`/`"),
        (raises_to_a_power, "`**`"),
        (after_the_block, "the name `x` outside of the block or loop"),
        (after_the_loop, "the name `k` outside of the block or loop"),
        (loop_and_variable, "the name `k`"),
        (tries, "`try`"), (leaves_a_loop, "`return` in a loop"), (breaks_a_generator, "`break` or `continue`"),
        (chain, "a chain"), (compares_objects, "`is`"),
    ):  # fmt: skip
        problem = refused(function)
        assert text in problem.msg and problem.filename == __file__, problem
        first = function.__code__.co_firstlineno
        assert first < problem.lineno <= first + 4, (problem.lineno, first)


def test_threads_that_rewrite_the_same_function():
    """In a program without an executable of Python, several threads emit code."""
    wanted = rewritten(loops).__code__.co_code
    _emitter.cache_clear()
    before, found = sys.getswitchinterval(), []
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=lambda: found.append(rewritten(loops).__code__.co_code)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert found == [wanted] * 8


@plain
def wrong(w):
    x = w[0]
    y = x + 1
    y = w.missing
    return y


def test_a_traceback_of_the_emitter_shows_the_source():
    with pytest.raises(AttributeError) as found:
        compiled(wrong)
    frames = traceback.extract_tb(found.value.__traceback__)
    (frame,) = [frame for frame in frames if frame.name == "wrong"]
    assert frame.filename == __file__ and frame.line == "y = w.missing"


@plain
def objects(w):
    a = w
    a = w
    a[0] = 1


def test_a_variable_must_be_an_integer():
    with pytest.raises(TypeError, match="assigned more than once must be an integer"):
        compiled(objects)


def test_a_breakpoint_stops_in_the_source():
    seen = []

    def trace(frame, event, _):
        if frame.f_code.co_name == "loops" and event == "line":
            seen.append((frame.f_lineno, frame.f_locals.get("total")))
        return trace

    sys.settrace(trace)
    loops(Words((ctypes.c_int64 * SIZE)(*range(SIZE))))
    sys.settrace(None)
    assert len(seen) > 20 and any(total == 54 for _, total in seen)
