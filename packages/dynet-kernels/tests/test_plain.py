"""The plain functions that compile to native code: what they may contain, how they differ from Python, what is refused.

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
from dynet_kernels.cache.store import load_objects
from dynet_kernels.plain import Words, entry, plain, popcount
from dynet_kernels.plain.rewriting import _emitter_code, emitter_of

SIZE = 16


def compiled(function):
    from dynet_kernels.machine.modules import compile_cpu
    from dynet_kernels.target import host_cpu
    from dynet_kernels.tvm_modules import ir

    module = ir.IRModule({"main": tir.function_of("main", lambda memory: function(Words(memory)))})
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


def with_low(low):
    class Closed:
        @plain
        def clamp(self, x):
            return clamp(x, low, 5)

    return Closed()


LOW = with_low(2)


@plain
def names_in_a_closure(w):
    """So may a method that closes over something."""
    w[3] = LOW.clamp(w[0])


@plain
def names_of_the_rewriting(w):
    """Names that begin with one underscore are the program's."""
    _side, _lowering, _result = w[1] + 3, w[2], w[4]
    if w[0] > 2:
        w[2] = _side
    while w[3] < 3:
        w[3] += _lowering * 0 + 1
    w[5] = _side + _lowering + _result


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
    """A quotient may be used several times, also in conditions that narrow its range."""
    if w[1] > 0:
        quotient = (w[0] << 20) // w[1] * w[2] >> 20
        gain = min(0, quotient - w[3])
        w[5] = max(-20, min(9, w[4] + gain)) + w[0] % w[1]
        w[6] = quotient if quotient > 0 else -quotient


def as_reals(w):
    return Words(w.address if w.array is None else ctypes.addressof(w.array), "float64")


@plain
def real_numbers(w):
    reals = as_reals(w)
    reals[3] = 0.5
    reals[4] = 2
    if reals[3] < reals[4]:
        w[5] = 1


@plain
def conditions_calculate(w):
    """In arithmetic, as a place and as a length, a condition is 1 or 0."""
    w[5] = (w[0] > 0) + (w[1] > 0) - ((w[2] > 0) << 3) + ~(w[3] > 0)
    w[6] = ((w[0] > 0) == (w[1] > 0)) * 8 | 6
    w[7] = -(w[0] > 0) // 1 + w[w[4] > 0] + max(w[0] > 1, w[1] > 1)
    for _ in range(w[3] > 0):
        w[8] = 3 & (w[0] > 0)


@plain
def operands_of_and_and_or(w):
    """`and` and `or` are one of their operands."""
    w[5] = w[0] and w[1]
    w[6] = w[2] or 7
    w[7] = max(w[3] > 1 and w[4] or w[1] or w[2] > 5, 2)
    w[8] = LARGE and w[0] or w[9]


@plain
def only_by_name(w, /, x, *, y, z=LARGE):
    x += y
    y += 1
    w[5] = x + y + z


class Defaults:
    STEP = 3

    @plain
    def step(self, w, by=STEP):
        w[6] = by


@plain
def parameters(w):
    """Parameters of all kinds may change, and defaults are those of the function."""
    only_by_name(w, w[0], y=w[1])
    Defaults().step(w)
    count = w[2]
    count += 1

    def add(x, by=count):
        return x + by

    count += 7
    w[7] = add(count)


@plain
def constant_floats(w):
    """A float constant is a float64."""
    reals = as_reals(w)
    reals[3] = w[0] * 0.1
    reals[4] = max(reals[3] + 0.3, 1e300)
    if reals[3] > 0.7:
        w[5] = 1


def with_setter():
    number = 1

    def set_to(value):
        nonlocal number
        number = value

    @plain
    def store(w):
        w[0] = number

    return store, set_to


store_number, set_number = with_setter()


@plain
def changed_closure(w):
    """What a function closes over may change between two compilations."""
    set_number(2)
    store_number(w)
    set_number(3)
    store_number(w)


def with_annotation(kind):
    @plain
    def store(w):
        def to(x: kind):
            w[0] = x

        to(w[1])

    return store


store_second = with_annotation(int)


@plain
def annotated_closure(w):
    """Annotations are not compiled, so a name used only in one is not part of the compiled function's closure."""
    store_second(w)


@plain
def endless(w):
    while True:
        w[0] += 7
        if w[0] > 50:
            break


PROGRAMS = [
    conditions_calculate,
    operands_of_and_and_or,
    parameters,
    constant_floats,
    changed_closure,
    annotated_closure,
    endless,
    repeated_divisions,
    real_numbers,
    names,
    names_in_a_closure,
    names_of_the_rewriting,
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
        emitter_of(function)
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

    def annotates(w):
        x: int = w[0]
        w[1] = x

    def nested_targets(w):
        w[4], (w[5], w[0]) = w[1], (w[2], w[3])

    def starred_target(w):
        w[2], *_ = w[0], w[1]

    def loops_over_memory(w):
        for w[0] in (1, 2):
            w[1] += 1

    def loop_and_name(w):
        k = w[0]
        for k in range(3):
            w[k] = 1

    def loop_in_loop(w):
        for k in range(3):
            for k in range(2):
                w[k] = 1

    def catches_groups(w):
        try:
            w[0] = 1
        except* IndexError:
            pass

    def counts_a_range(w):
        for i, k in enumerate(range(3)):
            w[i] = k

    def names_a_range(w):
        r = range(3)
        w[0] = len(r)

    def comprehends_a_range(w):
        w[0] = sum([w[k] for k in range(3)])

    def comprehends_a_variable(w):
        x = w[0]
        x += 1
        w[1] = sum([x for x in (1, 2)])

    def generates(w):
        w[0] = sum(x for x in (1, 2))

    def own_max(w):
        def max(a, b):
            return a - b

        w[0] = max(w[1], w[2])

    def own_min(w):
        min = w[0]
        w[1] = min

    def parameter_max(w, max):
        w[0] = max

    def mangles(w):
        w.__length = 1

    def makes_a_lambda(w):
        one = lambda x: x + 1  # noqa: E731
        w[0] = one(w[1])

    def falls_through(w):
        if w[0]:
            return 1
        w[1] = 2

    def falls_through_with_a_loop(w):
        if w[0]:
            return 1
        for k in range(3):
            w[k] = 2

    def returns_without_a_value(w):
        if w[0]:
            return
        return 5

    def has_a_sign(w):
        w[0] = +w[1]

    for function, text in (
        (annotates, "`annassign`"), (nested_targets, "the target"), (starred_target, "the target"),
        (loops_over_memory, "the target"), (loop_and_name, "the name `k` both"), (loop_in_loop, "the name `k` both"),
        (catches_groups, "`trystar`"), (counts_a_range, "the name `range`"),
        (names_a_range, "the name `range`"), (comprehends_a_range, "the name `range`"),
        (comprehends_a_variable, "the name `x` both"), (generates, "`generatorexp`"), (own_max, "the name `max`"),
        (own_min, "the name `min`"), (mangles, "the name `__length`"), (makes_a_lambda, "`lambda`"),
        (falls_through, "an end without a result"), (falls_through_with_a_loop, "an end without a result"),
        (returns_without_a_value, "an end without a result"), (has_a_sign, "`uadd`"),
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
    wanted = emitter_of(loops).__code__.co_code
    _emitter_code.cache_clear()
    before, found = sys.getswitchinterval(), []
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=lambda: found.append(emitter_of(loops).__code__.co_code)) for _ in range(8)]
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


@plain
def float_variable(w):
    x = as_reals(w)[0]
    x += 1.5
    as_reals(w)[1] = x


@plain
def float_result(w):
    as_reals(w)[1] = as_reals(w)[0] if w[2] else as_reals(w)[3]


@plain
def float_as_integer(w):
    w[1] = as_reals(w)[0]


@plain
def compares_pairs(w):
    if (w[0], w[1]) == (w[2], w[3]):
        w[4] = 1


@plain
def names_arguments(w):
    w[0] = max(w[1], w[2], key=abs)


@plain
def while_of_a_list(w):
    waiting = [1, 2]
    while waiting:
        w[0] += waiting.pop()


@plain
def truth_in_python(w):
    if any([w[0] == 1, w[1] == 2]):
        w[2] = 1


@entry
def other(w):
    w[1] = 1


@entry
def goes_on(w):
    if w[0]:
        other(w)
    w[2] = 1


@entry
def asks_an_entry(w):
    if other(w):
        w[2] = 1


@entry
def ends_with_another(w):
    if w[0]:
        return other(w)
    w[2] = 1


nameless = plain(lambda w: w[0])


@pytest.mark.parametrize(
    "function, kind, text",
    [
        (objects, TypeError, "assigned more than once must be an integer"),
        (float_variable, TypeError, "assigned more than once must be an integer"),
        (float_result, TypeError, "assigned more than once must be an integer"),
        (float_as_integer, TypeError, "what is stored"),
        (compares_pairs, TypeError, "a tuple or list"),
        (names_arguments, TypeError, "unexpected keyword argument 'key'"),
        (while_of_a_list, TypeError, "the condition of a `while`"),
        (truth_in_python, ValueError, "and / or / not"),
        (goes_on, TypeError, "only by `return other"),
        (asks_an_entry, TypeError, "only by `return other"),
    ],
)
def test_what_is_refused_when_code_is_emitted(function, kind, text):
    """The traceback has the line."""
    with pytest.raises(kind, match=text) as found:
        compiled(function)
    frames = traceback.extract_tb(found.value.__traceback__)
    (frame,) = [frame for frame in frames if frame.name == function.__name__]
    assert frame.filename == __file__ and frame.line


def test_an_entry_may_end_with_another():
    memory = (ctypes.c_int64 * 3)(1)
    compiled(ends_with_another)(ctypes.addressof(memory))
    assert [*memory] == [1, 1, 0]


def test_a_lambda_has_no_lines():
    with pytest.raises(OSError, match="the lines of its `def`"):
        compiled(nameless)


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
