"""Creates and drops expressions: python tests/stress/lifetimes.py ORDER COUNT THREADS

Prints how many kB the resident memory of the process has grown since the first expressions.
"""

import collections
import gc
import random
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import dynet as dy

GRAPH = 2500  # expressions per graph
KEPT = 64  # expressions that outlive their graphs for a while


def resident() -> int:
    """The resident memory of this process, in kB."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def graph_of(order: str, count: int, kept: collections.deque, numbers: random.Random) -> None:
    """Record a graph, hold some of its expressions and drop them in the given order; check the values of some."""
    dy.renew_cg()
    start = numbers.random()
    x = dy.scalarInput(start)
    held: collections.deque = collections.deque([x])
    for k in range(count):
        x = -x if k % 2 else x + 1.0
        held.append(x)
        if len(held) > 200:
            if order == "lifo":
                held.pop()
            elif order == "fifo":
                held.popleft()
            else:
                held.rotate(numbers.randrange(8))
                held.pop()
    for e, expected in ((held[0], None), (x, start)):
        got = e.value()
        # x -> x + 1 -> -(x + 1) -> -x -> x: back at the start after each four.
        if expected is not None and count % 4 == 0 and abs(got - expected) > 1e-4:
            raise AssertionError(f"{got} instead of {expected}")
    kept.append(held[len(held) // 2])
    for e in list(kept)[:-1]:
        try:
            e.value()
        except dy.StaleExpressionError:
            continue
        raise AssertionError(f"{e!r} is stale, and was read")


def many(order: str, count: int, seed: int) -> None:
    kept: collections.deque = collections.deque(maxlen=KEPT)
    numbers = random.Random(seed)
    for _ in range(count // GRAPH):
        graph_of(order, GRAPH, kept, numbers)


def parameters(count: int) -> None:
    """Create and drop parameters and constants."""
    model = dy.ParameterCollection()
    p, table = model.add_parameters((2, 2), init=1.0), model.add_lookup_parameters((2, 2), init=1.0)
    before = [sys.getrefcount(kind) for kind in KINDS]
    for k in range(count // 10):
        for _ in range(4):
            p.expr(update=False), dy.const_parameter(p), table.expr(update=False)
        if k % 20 == 0:
            other = dy.ParameterCollection()
            other.add_parameters((2, 2), init=0.5)
        if k % 1000 == 0:
            dy.renew_cg()
            x = dy.inputVector([1.0, 2.0])
            assert (p.expr(update=False) * x).value() == [3.0, 3.0]
    dy.renew_cg()
    gc.collect()
    for kind, count_before in zip(KINDS, before):
        assert sys.getrefcount(kind) < count_before + 10_000, (kind, count_before, sys.getrefcount(kind))


KINDS = (
    dy.Expression,
    dy.Parameters,
    dy.LookupParameters,
    type(dy.ParameterCollection().add_parameters(1).expr(update=False)),
)


def short_threads(count: int) -> None:
    for start in range(0, count, 4):
        threads = [threading.Thread(target=many, args=("fifo", GRAPH, start + k)) for k in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def main(order: str, count: int, threads: int) -> None:
    def run(count: int) -> None:
        if order == "parameters":
            parameters(count)
        elif order == "threads":
            short_threads(count)
        elif threads == 1:
            many(order, count, 0)
        else:
            with ThreadPoolExecutor(threads) as pool:
                for done in [pool.submit(many, order, count // threads, k) for k in range(threads)]:
                    done.result()

    run(count if order == "threads" else count // 5)
    gc.collect()
    before = resident()
    run(count)
    gc.collect()
    print(resident() - before)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
