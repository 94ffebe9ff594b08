"""Sends signals at random moments of a program without `renew_cg`: python tests/stress/signals.py 20000 [seed]

The program trains, and compares everything it holds with numpy's values (`mirror.py`). A handler raises an exception at
a random moment of a phase; the program catches it and continues in the same graph. Each value it reads must be right,
or raise one of the library's own exceptions; only after such an exception does it start a new graph. A new process
starts every few hundred signals, so that a crash is counted and the run continues.
"""

import faulthandler
import mmap
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable

import numpy as np
from mirror import TOLERANCE, Held, Mirror, Wrong

import dynet as dy

PHASES = ("record", "read", "backward", "update", "set", "save", "checkpoint", "revert", "renew")
WEIGHTS = (12, 6, 4, 4, 3, 1, 2, 2, 1)
COUNTS = (*PHASES, "delivered", "caught", "ours", "wrong", "foreign", "phase", "turns")
BATCH = 500  # signals per process
SHOWN = 5  # failures of each kind that are printed
MOST_HELD = 150


class Alarm(Exception):
    """An exception raised by a handler, like a program's own timeout."""


class Counts:
    """Counters in shared memory, which survive the process."""

    def __init__(self):
        self.numbers = memoryview(mmap.mmap(-1, 8 * len(COUNTS))).cast("q")

    def __getitem__(self, name: str) -> int:
        return self.numbers[COUNTS.index(name)]

    def __setitem__(self, name: str, value: int) -> None:
        self.numbers[COUNTS.index(name)] = value


class Interrupts:
    """Raises an exception at a random moment of a call."""

    def __init__(self, counts: Counts, random):
        self.counts, self.random = counts, random
        self.armed = False
        self.lengths = dict.fromkeys(PHASES, 1e-4)  # approximate duration of a phase
        signal.signal(signal.SIGALRM, self.handle)

    def handle(self, *_):
        if self.armed:
            self.armed = False
            self.counts["delivered"] += 1
            self.counts[PHASES[self.counts["phase"]]] += 1
            raise self.random.choice([KeyboardInterrupt, Alarm])

    def during(self, phase: str, action: Callable, probability: float = 1.0) -> bool:
        """Run a phase; return whether it completed."""
        self.counts["phase"] = PHASES.index(phase)
        if self.random.random() > probability:
            action()
            return True
        begin = time.perf_counter()
        delay = max(1e-6, self.random.uniform(0, 1.2 * self.lengths[phase]))
        try:
            try:
                self.armed = True
                signal.setitimer(signal.ITIMER_REAL, delay)
                action()
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
                self.armed = False
        except (KeyboardInterrupt, Alarm):
            signal.setitimer(signal.ITIMER_REAL, 0)
            self.counts["caught"] += 1
            return False
        self.lengths[phase] += 0.1 * (time.perf_counter() - begin - self.lengths[phase])
        return True


class Program:
    """A program that is interrupted in each of its phases."""

    def __init__(self, counts: Counts, seed: int, folder: str):
        self.mirror = Mirror(seed)
        self.random = self.mirror.random
        self.counts, self.interrupts = counts, Interrupts(counts, self.random)
        self.path, self.saved = os.path.join(folder, "model"), []  # possible contents of the file
        self.shown: dict[str, int] = {}
        self.stale: list[Held] = []  # expressions held in graphs that are now stale
        self.begin()

    def begin(self) -> None:
        """Begin a graph, uninterrupted."""
        dy.renew_cg()
        self.has_begun()

    def has_begun(self) -> None:
        """Note that there is a new graph."""
        self.stale = [*self.mirror.held, *self.stale[:300]]
        self.mirror.begin()
        self.marks: list[int | None] = []  # expressions held at each checkpoint; None: it may not exist
        self.outdated = False  # whether parameters have changed since the graph was computed

    def turn(self) -> None:
        """Run a phase, and recover after it."""
        self.counts["turns"] += 1
        phase = self.random.choices(PHASES, WEIGHTS)[0]
        if len(self.mirror.held) > MOST_HELD:
            self.begin()
        try:
            if not getattr(self, phase)():
                for _ in range(self.random.randint(1, 4)):
                    self.mirror.step()
                self.settle()
                self.mirror.compare_all()
        except dy.DynetError as error:
            self.fail("ours", phase, error)
        except Wrong as error:
            self.fail("wrong", phase, error)
        except Exception as error:
            self.fail("foreign", phase, error)

    def fail(self, kind: str, phase: str, error: Exception) -> None:
        self.counts[kind] += 1
        self.shown[kind] = self.shown.get(kind, 0) + 1
        if self.shown[kind] <= SHOWN:
            print(f"{kind}, last interrupted in {phase}: {type(error).__name__}: {error}", file=sys.stderr)
            if kind == "foreign":
                traceback.print_exc()
            sys.stderr.flush()
        self.begin()
        self.mirror.read_parameters()

    def settle(self) -> None:
        """Make the graph's values match the current parameters and inputs."""
        if self.outdated and self.mirror.held:
            self.mirror.compare_all(recalculate=True)
            self.outdated = False

    # Phases: each returns whether it completed

    def record(self) -> bool:
        steps = range(self.random.randint(1, 5))
        return self.interrupts.during("record", lambda: [self.mirror.step() for _ in steps])

    def read(self) -> bool:
        if self.outdated:
            self.settle()
        some = self.random.choices(self.mirror.held, k=4) if self.mirror.held else []

        def read():
            for held in some:
                if not held.perhaps_gone:
                    self.mirror.compare(held)

        done = self.interrupts.during("read", read)
        for held in self.random.choices(self.stale, k=2) if self.stale else []:
            try:
                held.expression.npvalue()
            except dy.StaleExpressionError:
                continue
            raise Wrong(f"{held.expression!r} is stale, and was read")
        return done

    def backward(self) -> bool:
        self.settle()
        loss = self.mirror.loss()
        full = self.random.random() < 0.2
        done = self.interrupts.during("backward", lambda: loss.expression.backward(full=full))
        before, after = self.mirror.gradients, self.mirror.stored_gradients()
        added = {name: after[name] - before[name] for name in after}
        if done or any(a.any() for a in added.values()):
            if not self.mirror.is_gradient(loss, added):
                raise Wrong(f"gradients after backward, {done=}: {added}")
        self.mirror.gradients = after
        return done

    def update(self) -> bool:
        if not any(g.any() for g in self.mirror.gradients.values()):
            return self.backward()
        mirror = self.mirror
        mirror.trainer.set_clip_threshold(self.random.choice([0, 0.5, 5, 1000]))
        before, updated = (mirror.p, mirror.gradients), mirror.updated()
        self.outdated = True
        done = self.interrupts.during("update", mirror.trainer.update)
        p, gradients = mirror.stored_values(), mirror.stored_gradients()
        changed = all(np.allclose(p[name], updated[name], **TOLERANCE) and not gradients[name].any() for name in p)
        unchanged = all(
            np.array_equal(a, b) for old, new in zip(before, (p, gradients)) for a, b in zip(old.values(), new.values())
        )
        if not changed and (done or not unchanged):
            raise Wrong(f"parameters after an update, {done=}: {p}, {gradients}; before: {before}")
        mirror.p, mirror.gradients = p, gradients
        mirror.refresh()
        return done

    def set(self) -> bool:
        inputs = [held for held in self.mirror.held if held.given and not held.perhaps_gone]
        if not inputs:
            return self.record()
        self.settle()
        x = self.random.choice(inputs)
        new = self.mirror.numbers()
        done = self.interrupts.during("set", lambda: x.expression.set(new))
        got = x.expression.npvalue()
        if np.allclose(got, new, **TOLERANCE):
            x.given[0] = new
        elif done or not np.allclose(got, x.given[0], **TOLERANCE):
            raise Wrong(f"an input that was set to {new}, {done=}, is {got}; it was {x.given[0]}")
        self.mirror.refresh()
        return done

    def save(self) -> bool:
        before, now = self.saved, self.mirror.p
        self.saved = [*before, now]
        done = self.interrupts.during("save", lambda: self.mirror.model.save(self.path))
        if os.path.exists(self.path):
            found = Mirror(0)
            found.model.populate(self.path)
            values = found.stored_values()
            possible = [now] if done else self.saved
            if not any(all(np.allclose(values[name], each[name], atol=1e-5) for name in each) for each in possible):
                raise Wrong(f"a file that was saved, {done=}, holds {values}")
            self.saved = [values]
        return done

    def checkpoint(self) -> bool:
        self.settle()
        mark = len(self.mirror.held)
        done = self.interrupts.during("checkpoint", dy.cg_checkpoint, 0.3)
        self.marks.append(mark if done else None)
        return done

    def revert(self) -> bool:
        """Revert to the last checkpoint. If it may not exist, the first checkpoint must certainly exist."""
        if not self.marks or self.marks[0] is None:
            return self.checkpoint()
        self.settle()
        certain = [mark for mark in self.marks if mark is not None]
        held, mark = self.mirror.held, self.marks[-1]
        if mark is None or None in self.marks:
            uncertain = held[certain[0] :]
            self.marks = self.marks[:1]  # it is unknown which others exist
        else:
            uncertain = held[mark:]
        for each in uncertain:
            each.perhaps_gone = True
        done = self.interrupts.during("revert", dy.cg_revert, 0.7)
        if done and mark is not None and None not in self.marks:
            self.stale += held[mark:]
            self.mirror.held = held[:mark]
            self.marks = self.marks[:-1]
        else:  # the checkpoint may or may not exist: the program uses no more of them
            self.marks = [None]
        return done

    def renew(self) -> bool:
        held = self.mirror.held
        done = self.interrupts.during("renew", dy.renew_cg)
        if done:
            self.has_begun()
        else:  # the graph may be new
            for each in held:
                each.perhaps_gone = True
            self.marks = [None]
        return done


def run_child(counts: Counts, wanted: int, seed: int) -> None:
    faulthandler.enable()
    with tempfile.TemporaryDirectory() as folder:
        program = Program(counts, seed, folder)
        while counts["delivered"] < wanted:
            faulthandler.dump_traceback_later(60, exit=True)
            program.turn()


def main(wanted: int, seed: int) -> int:
    for _ in range(20):  # kernels are compiled, and loaded before processes are forked
        Mirror(seed).sequence()
    mirror = Mirror(seed)
    for _ in range(200):
        mirror.step()
    mirror.compare_all()
    mirror.loss().expression.backward()
    mirror.trainer.update()
    counts, ends = Counts(), {}
    for batch in range(1000):
        if counts["delivered"] >= wanted or sum(ends.values()) > 50:
            break
        target = min(wanted, counts["delivered"] + BATCH)
        child = os.fork()
        if not child:
            status = 1
            try:
                run_child(counts, target, seed + batch)
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status:
            end = signal.Signals(-status).name if status < 0 else f"exit {status}"
            end += f" in {PHASES[counts['phase']]}"
            ends[end] = ends.get(end, 0) + 1
            print(f"batch {batch} ended by {end} after {counts['delivered']} signals", file=sys.stderr)
    print("delivered", counts["delivered"], *(f"{phase}={counts[phase]}" for phase in PHASES))
    print("caught", counts["caught"], "turns", counts["turns"])
    print("ours", counts["ours"])
    print("wrong", counts["wrong"])
    print("foreign", counts["foreign"])
    print("deaths", sum(ends.values()), *(f"{end}={count}" for end, count in ends.items()))
    return int(bool(counts["wrong"] or counts["foreign"] or ends))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1))
