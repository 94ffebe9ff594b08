"""Times one thread against several while other programs run, and prints one table.

    python benchmarks/busy.py --rounds 5

Each thread count has its own process, and the processes take turns. In its turn, a process trains for a while and
reports its wall time per step, recording included. The table shows the medians over the turns. The situations:

    quiet             nothing else runs
    one busy core     a process that never waits is bound to the first core
    four spinners     four processes that never wait
    one core          each process is bound to one core from the start
    one core, later   each process is bound to one core after it has trained for a while
    three programs    three processes train at the same time
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

MODELS = {
    "BiLSTM of 256 units, 8 sentences": (256, 8),
    "BiLSTM of 128 units, 2 sentences": (128, 2),
    "BiLSTM of 32 units, 4 sentences": (32, 4),
}
SITUATIONS = ("quiet", "one busy core", "four spinners", "one core", "one core, later", "three programs")
SPIN = "import os, sys\nif len(sys.argv) > 1: os.sched_setaffinity(0, {int(sys.argv[1])})\nwhile True: pass"


def train(units: int, sentences: int) -> None:
    """For each number of seconds read from stdin, train that long and print the milliseconds per step."""
    from threads import tagger

    step = tagger(sentences, units=units)
    for _ in range(5):
        step()
    print("ready", flush=True)
    for line in sys.stdin:
        count, began = 0, time.perf_counter()
        while count < 3 or time.perf_counter() < began + float(line):
            step()
            count += 1
        print(1e3 * (time.perf_counter() - began) / count, flush=True)


class Program:
    """A process that trains with one or several threads."""

    def __init__(self, python: str, model: str, threads: int):
        command = [python, __file__, "--train", *map(str, MODELS[model])]
        # Otherwise the default, one thread per core, which the process may lower while it runs.
        environment = os.environ | ({"DYNET_NUM_THREADS": "1"} if threads == 1 else {})
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.read()

    def read(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def start(self, seconds: float) -> None:
        assert self.process.stdin
        print(seconds, file=self.process.stdin, flush=True)


@contextmanager
def spinners(count: int, core: str | None = None) -> Iterator[None]:
    """Run processes that never wait."""
    started = [subprocess.Popen([sys.executable, "-c", SPIN, *([core] if core else [])]) for _ in range(count)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def turn(programs: Sequence[Program], seconds: float) -> float:
    for program in programs:
        program.start(seconds)
    return statistics.mean(float(program.read()) for program in programs)


def table(model: str, situation: str, pythons: list[str], threads: int, rounds: int, seconds: float) -> str:
    cores = os.sched_getaffinity(0)
    kinds = [(python, count) for python in pythons for count in (1, threads)]
    spent: dict[tuple[str, int], list[float]] = {kind: [] for kind in kinds}
    with ExitStack() as stack:
        try:
            if situation == "one core":
                os.sched_setaffinity(0, {min(cores)})
            copies = 3 if situation == "three programs" else 1
            programs = {kind: [Program(kind[0], model, kind[1]) for _ in range(copies)] for kind in kinds}
        finally:
            os.sched_setaffinity(0, cores)
        for started in programs.values():
            for program in started:
                stack.callback(program.process.kill)
                if situation == "one core, later":
                    turn([program], seconds)
                    for task in os.listdir(f"/proc/{program.process.pid}/task"):
                        os.sched_setaffinity(int(task), {min(cores)})
        if situation == "one busy core":
            stack.enter_context(spinners(1, str(min(cores))))
        if situation == "four spinners":
            stack.enter_context(spinners(4))
        for _ in range(rounds):
            for kind in kinds:
                spent[kind].append(turn(programs[kind], seconds))
        for started in programs.values():
            for program in started:
                program.process.kill()
                program.process.wait()
    figures = [statistics.median(spent[kind]) for kind in kinds]
    ratios = [figures[place + 1] / figures[place] for place in range(0, len(figures), 2)]
    worst = [max(b / a for a, b in zip(spent[k], spent[m])) for k, m in zip(kinds[::2], kinds[1::2])]
    shown = [
        f"{figures[2 * n]:.2f} | {figures[2 * n + 1]:.2f} | {ratio:.2f} | {most:.2f}"
        for n, (ratio, most) in enumerate(zip(ratios, worst))
    ]
    return f"| {model} | {situation} | {' | '.join(shown)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--train", nargs=2, type=int, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=5, help="how many turns each process has")
    parser.add_argument("--seconds", type=float, default=1.5, help="how long a turn is")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--situations", nargs="+", choices=SITUATIONS, default=SITUATIONS)
    parser.add_argument("--pythons", nargs="+", default=[sys.executable], help="Pythons with different versions")
    arguments = parser.parse_args()
    if arguments.train:
        train(*arguments.train)
        return
    threads = len(os.sched_getaffinity(0))
    head = f"1 thread, ms | {threads} threads, ms | ratio | largest ratio"
    print(f"| model | situation | {' | '.join([head] * len(arguments.pythons))} |")
    print("|---" * (2 + 4 * len(arguments.pythons)) + "|")
    for model in arguments.models:
        for situation in arguments.situations:
            print(table(model, situation, arguments.pythons, threads, arguments.rounds, arguments.seconds), flush=True)


if __name__ == "__main__":
    main()
