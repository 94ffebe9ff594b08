"""The compiled machine for this CPU: its parts are taken from the cache, or built when they are not there."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from . import cache, layout, records, sharing, shipped_code
from .building.builders import Builder, BuildError, Builders, LocalBuilder
from .kernels import RUN_SHARD, Kernels
from .parts import Part, Planner, Shard, key_of, key_of_code, target_of
from .parts import write_object as write_object
from .sources import digest_of as digest_of
from .target import CpuTarget, general_kinds, host_cpu

PHASES = ("forward", "backward", "gradient_norm", "update")  # each also as `plan_...`, which does not run
FUNCTIONS = (*PHASES, *(f"plan_{name}" for name in PHASES), "run", "norm_and_update")

_code = (ctypes.c_int64 * layout.MOST_SHARDS)()


def code_address() -> int:
    """Return where contexts find the handles of the shards' functions."""
    return ctypes.addressof(_code)


class Library:
    """The functions of the planner as attributes, and the shards that they call."""

    forward: Callable[..., None]
    backward: Callable[..., None]
    gradient_norm: Callable[..., None]
    update: Callable[..., None]
    norm_and_update: Callable[..., None] | None  # both in one call, unless they are to be told apart
    run: Callable[..., None]
    plan_forward: Callable[..., None]
    plan_backward: Callable[..., None]
    plan_gradient_norm: Callable[..., None]
    plan_update: Callable[..., None]

    is_watched = False  # whether others, such as a profile, have put their own functions in the place of these

    def __init__(self, kernels: Kernels):
        self._kernels = kernels
        self._loaded: dict[int, Any] = {}  # the functions whose handles are in `_code`
        self._has_planner = False
        self.load_used()

    def synchronize(self) -> None:
        """Wait until all work is done, which on a CPU it is."""

    def load_used(self) -> None:
        """Load the shards that are used by now and not loaded yet, compiling what the cache lacks."""
        numbers = sorted(self._kernels.used - self._loaded.keys())
        for number in numbers:
            self._kernels.close(number)
        planners = [] if self._has_planner else [Planner()]
        shards = [Shard(self._kernels.shard(number)) for number in numbers]
        loaded = modules([*planners, *shards])  # the planner takes longest, so it is the first to be compiled
        for number, module in zip(numbers, loaded[len(planners) :]):
            run = module.get_function(RUN_SHARD)
            self._loaded[number] = run
            _code[number] = run.__chandle__()
        for module in loaded[: len(planners)]:
            for name in FUNCTIONS:
                setattr(self, name, module.get_function(name))
            self._has_planner = True


def modules(
    parts: Sequence[Part],
    load: Callable[[bytes], Any] = cache.load_object,
    finish: Callable[[Part, bytes], bytes] | None = None,
    kind: str | None = "CPU",
) -> list:
    """The machine code of parts; what has to be compiled is compiled side by side.

    An exception, such as KeyboardInterrupt, ends all processes that compile.

    Args:
        load: what makes a module of a file.
        finish: makes a file of what a part builds; None: it is one.
        kind: what it is for, in the message that something is compiled; None: no message.
    """
    keys = [key_of(part) for part in parts]
    found = [stored(part, load) for part in parts]
    missing = [place for place, module in enumerate(found) if module is None]
    if not missing:
        return found
    builders = Builders(cache.building_site())

    def made(place: int):
        part = parts[place]
        # The process comes first: one that is ended while it has the lock, but nobody to compile, leaves it behind.
        with builders.one() as builder:

            def identify(lock: Path) -> str:
                with failures_of(part):
                    return key_of_code(target_of(part), builder.emit(part, lock))

            def make(lock: Path) -> bytes:
                content = build(part, builder, lock, is_emitted)
                return finish(part, content) if finish else content

            is_emitted = hasattr(part, "emit")
            how = {"load": load, "stopped": lambda: builders.stopped, "identify": identify if is_emitted else None}
            return cache.load_or_make(keys[place], make, **how)

    waiting, done = deque(missing), SimpleQueue()

    def work() -> None:
        with suppress(IndexError):
            while True:
                place = waiting.popleft()
                try:
                    done.put((place, made(place), None))
                except BaseException as problem:
                    done.put((place, None, problem))

    # No pool of `concurrent.futures`: an interrupt can leave its locks held. A queue of this kind is whole at any time.
    threads = [threading.Thread(target=work) for _ in range(min(sharing.cores(), len(missing)))]
    try:
        with Progress(kind, len(missing)) as progress:
            for thread in threads:
                thread.start()
            for _ in missing:
                place, found[place], problem = done.get()
                if problem is not None:
                    raise problem
                progress.advance()
    finally:
        builders.stop()
        for thread in threads:
            if thread.ident is not None:
                thread.join()
        builders.close()
    return found


def stored(part: Part, load: Callable[[bytes], Any] = cache.load_object) -> Any:
    """Load the machine code of a part from the cache, or what the package brings; None if neither has it.

    Code for exactly this CPU is preferred, then code for the best of the general kinds that this CPU can run.
    """
    module = cache.load_stored(key_of(part), load)
    if module is not None or not hasattr(part, "for_target"):
        return module
    for target in general_targets():
        general = part.for_target(target)
        code = cache.stored(key_of(general)) or shipped_code.find(key_of(general, with_versions=False))
        if code is not None:
            return load(code)
    return None


def general_targets() -> list[CpuTarget]:
    """The general kinds of CPU whose code is run here if there is none for exactly this CPU, the best one first.

    There is none if DYNET_CPU names a kind, or kernels have been tuned for this CPU.
    """
    host = host_cpu()
    if os.environ.get("DYNET_CPU") == "native" or (host.kind == "native" and records.are_tuned_for(host)):
        return []
    return general_kinds() if host.kind == "native" else [host]


def build(part: Part, builder: Builder | LocalBuilder, lock: Path | None = None, is_emitted: bool = False) -> bytes:
    """The file of a part; `is_emitted`: the builder has emitted its code."""
    with failures_of(part):
        if not is_emitted:
            builder.emit(part, lock)
        return builder.build(lock)


@contextmanager
def failures_of(part: Part) -> Iterator[None]:
    """Have errors say what could not be compiled."""
    try:
        yield
    except BuildError as problem:
        raise cache.CacheError(f"compiling {part.name} failed:\n{problem}") from None


class Progress:
    """What is said on stderr while kernels are compiled: how many are done on a terminal, else one line a process."""

    _is_said = False

    def __init__(self, kind: str | None, count: int):
        self._kind, self._count, self._done = kind, count, 0
        self._on_terminal = kind is not None and sys.stderr is not None and sys.stderr.isatty()

    def __enter__(self) -> Progress:
        if self._on_terminal:
            self._show()
        elif self._kind and not Progress._is_said:
            Progress._is_said = True
            text = f"dynet: compiling kernels for this {self._kind}, once for this machine (up to a minute) ..."
            print(text, file=sys.stderr, flush=True)
        return self

    def __exit__(self, *_) -> None:
        if self._on_terminal:
            print(file=sys.stderr, flush=True)

    def advance(self) -> None:
        """Another one is compiled."""
        self._done += 1
        if self._on_terminal:
            self._show()

    def _show(self) -> None:
        number = min(self._done + 1, self._count)
        text = f"dynet: compiling kernels, {number} of {self._count}, once for this machine"
        print(f"\r{text}", end="", file=sys.stderr, flush=True)
