"""Loads machine code, and compiles the parts of it that the cache does not have."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from .. import layout, tuning_records
from ..building import Builders
from ..cache import shipped_code, store
from ..families.products import precision
from ..kernels import RUN_SHARD, SHARD_SIZE, Kernels
from ..target import NATIVE, CpuTarget, host_cpu, host_general_targets
from . import sharing
from .parts import Part, Planner, Shard, has_factors, key_of, key_of_code

# The planner's functions that plan and run a pass. Each has a counterpart that only plans, such as `plan_forward`.
PASS_NAMES = ("forward", "backward", "gradient_norm", "update")

_shard_handles = (ctypes.c_int64 * layout.MOST_SHARDS)()
# All functions whose handles were ever in `_shard_handles`. They are kept, because that list outlives every `Library`.
_shard_functions: list[Any] = []


def code_address() -> int:
    """Return the address of a list with each shard's function handle, which is 0 if the shard is not loaded."""
    return ctypes.addressof(_shard_handles)


class CompileError(store.CacheError):
    """A part of the machine code cannot be compiled. Only graphs that need one of its kernels fail."""


class Shards:
    """Which shards of kernels are loaded for one device, and which could not be compiled."""

    def __init__(self, kernels: Kernels):
        self._kernels = kernels
        self._loaded: set[int] = set()  # the numbers of the loaded shards
        # Errors of shards that could not be compiled. A raised error is dropped, so that `load_used` tries again.
        self._failed: dict[int, CompileError] = {}

    def require(self, opcode: int) -> None:
        """Raise a CompileError if a kernel's shard cannot be compiled, or a NoCodeError if it was never requested."""
        shard = opcode // SHARD_SIZE
        if shard in self._failed:
            raise self._failed.pop(shard)
        if shard not in self._loaded:
            raise self._kernels.no_code_error(opcode)

    def _close_unloaded(self) -> list[int]:
        """Close the shards that `load_used` has to load, so that they get no more kernels. Return their numbers."""
        indices = sorted(self._kernels.used_shards - self._loaded - self._failed.keys())
        for index in indices:
            self._kernels.close(index)
        return indices


class Library(Shards):
    """The planner's compiled functions, as attributes. `load_used` also loads the shards of kernels."""

    # For each annotated name, `load_used` sets the function with this name of the planner's module.
    forward: Callable[..., int]
    backward: Callable[..., int]
    gradient_norm: Callable[..., int]
    update: Callable[..., int]
    # `gradient_norm` and `update` in one call. None while a profile times them separately.
    norm_and_update: Callable[..., int] | None
    run: Callable[..., None]
    plan_forward: Callable[..., int]
    plan_backward: Callable[..., int]
    plan_gradient_norm: Callable[..., int]
    plan_update: Callable[..., int]

    is_watched = False  # True while a profile, which times passes, has replaced the functions above

    def __init__(self, kernels: Kernels, factors: str = precision.FLOAT32):
        super().__init__(kernels)
        self._has_planner = False
        self.factors = factors
        self._other_handles: dict[tuple[int, str], int] = {}  # of shards for other factors: (shard, factors) -> handle
        self.load_used()

    def use(self, factors: str) -> None:
        """Set how products round their factors (see `families.products.precision`)."""
        if factors == self.factors:
            return
        for index in sorted(self._loaded | self._failed.keys()):
            if has_factors(self._kernels.shard(index)):
                self._other_handles[index, self.factors] = _shard_handles[index]
                _shard_handles[index] = self._other_handles.get((index, factors), 0)
                self._failed.pop(index, None)
                if not _shard_handles[index]:
                    self._loaded.discard(index)
        self.factors = factors

    def synchronize(self) -> None:
        """Do nothing: on a CPU, all work is done when a function returns. The method for a GPU waits for its work."""

    def load_used(self) -> None:
        """Load each shard in `Kernels.used_shards` that is not loaded yet. Compile shards that the cache does not have.

        If a shard cannot be compiled, the error is kept for `require`. All other errors are raised.
        """
        indices = self._close_unloaded()
        planners = [] if self._has_planner else [Planner()]
        shards = [Shard(self._kernels.shard(index), factors=self.factors) for index in indices]
        # The planner takes the longest to compile, so it comes first.
        results = load_modules([*planners, *shards], fallible_classes=(Shard,))
        for index, module in zip(indices, results[len(planners) :]):
            if isinstance(module, CompileError):
                self._failed[index] = module
                continue
            run = module.get_function(RUN_SHARD)
            _shard_functions.append(run)
            _shard_handles[index] = run.__chandle__()
            self._loaded.add(index)
        for module in results[: len(planners)]:
            for name in Library.__annotations__:
                setattr(self, name, module.get_function(name))
            sharing.help_others = module.get_function("help")
            sharing.help_others.release_gil = True  # even if an environment variable says that TVM should keep it
            self._has_planner = True  # set last, so that after an interrupt the planner is loaded again


def load_modules(
    parts: Sequence[Part],
    load: Callable[[bytes], Any] = store.load_object,
    finish: Callable[[Part, bytes], bytes] = lambda part, content: content,
    device: str | None = "CPU",
    allow_general_code: bool = True,
    fallible_classes: tuple[type, ...] = (),
) -> list:
    """Load the machine code of parts. Compile parts that are not in the cache, several at the same time.

    If an exception is raised, such as KeyboardInterrupt, all processes that compile are ended.

    Args:
        parts: the parts to load, such as shards of kernels and the planner.
        load: turns the contents of a cache file into a module.
        finish: finish(part, content) turns the output of the part's `build` into the contents of a cache file. The
            default changes nothing.
        device: the name of the device in the message about compiling. None: print no message.
        allow_general_code: whether code for a general kind of CPU may be loaded; see `find_code`.
        fallible_classes: of parts. The error of such a part that cannot be compiled is returned instead of raised.

    Returns:
        The modules (or CompileErrors) in the order of the parts.

    Raises:
        CompileError: a part cannot be compiled.
    """
    results: list = []
    for part in parts:
        code = find_code(part) if allow_general_code else store.find_object(key_of(part))
        results.append(None if code is None else load(code))
    missing = [position for position, module in enumerate(results) if module is None]
    if not missing:
        return results
    builders = Builders(store.building_site())

    def load_or_compile(part: Part, builder) -> Any:
        @as_compile_errors(part)
        def identify(lock_file: Path) -> str:
            code = builder.emit(part, lock_file)
            return key if code is None else key_of_code(part, code)  # the second key, if the part has one

        @as_compile_errors(part)
        def make(lock_file: Path) -> bytes:
            return finish(part, builder.build(lock_file))

        key = key_of(part)
        return store.load_or_make(key, make, load, lambda: builders.is_stopped, identify)

    positions, completed = deque(missing), SimpleQueue()  # of parts to load; pairs (position, module or error)

    def load_missing() -> None:
        builder = None
        with suppress(IndexError):
            while True:
                position = positions.popleft()
                try:
                    # Start the builder before locking the cache: it removes the lock file if this process is killed.
                    builder = builder or builders.start_builder()
                    completed.put((position, load_or_compile(parts[position], builder)))
                except BaseException as problem:
                    builder = None  # its process may have ended
                    completed.put((position, problem))

    # Threads and a SimpleQueue survive interrupts. A `concurrent.futures` pool has locks that may stay locked.
    threads = [threading.Thread(target=load_missing) for _ in range(min(sharing.core_count(), len(missing)))]
    try:
        with Progress(device, len(missing)) as progress:
            for thread in threads:
                thread.start()
            for _ in missing:
                position, result = completed.get()
                results[position] = result
                if not isinstance(result, BaseException):
                    progress.advance()
                elif not (isinstance(result, CompileError) and isinstance(parts[position], fallible_classes)):
                    raise result
    finally:
        builders.stop()
        for thread in threads:
            if thread.ident is not None:
                thread.join()
        builders.close()
    return results


def find_code(part: Part) -> bytes | None:
    """Return the machine code of a part from the cache or the package, or None if neither has it.

    Prefer code that was compiled for exactly this CPU, then for the best general kind of CPU, such as x86-64-v4.
    """
    find_in_cache = store.find_object if shipped_code.should_look_in_cache() else lambda key: None
    code = find_in_cache(key_of(part))
    if code is None and hasattr(part, "for_target"):
        for target in general_targets():
            general_part = part.for_target(target)  # type: ignore[attr-defined]
            code = find_in_cache(key_of(general_part)) or shipped_code.find(key_of(general_part, with_versions=False))
            if code is not None:
                break
    return code


def general_targets() -> list[CpuTarget]:
    """Return the general kinds of CPU whose code may run here, best first.

    If DYNET_CPU names a general kind, only that one. If it is `native`, or kernels were tuned for this CPU, none.
    """
    host = host_cpu()
    if host.kind != NATIVE:
        return [host]
    return [] if os.environ.get("DYNET_CPU") == NATIVE or tuning_records.are_tuned_for(host) else host_general_targets()


@contextmanager
def as_compile_errors(part: Part) -> Iterator[None]:
    """Decorator: convert exceptions to CompileErrors that name the part."""
    try:
        yield
    except Exception as problem:
        raise CompileError(f"compiling {part.name} failed:\n{problem}") from None


class Progress:
    """Reports on stderr the compilation of `count` parts for a `device`, such as "CPU". None: prints nothing.

    On a terminal, one line is updated. Elsewhere, a line is printed at the start and at the end. Errors are ignored.
    """

    def __init__(self, device: str | None, count: int):
        self._device, self._count, self._done = device, count, 0
        self._count_text = f"{count} part{'' if count == 1 else 's'}"
        self._on_terminal, self._start = False, time.monotonic()
        with suppress(Exception):  # a program's own stream may have no `isatty`
            self._on_terminal = bool(sys.stderr.isatty())

    def __enter__(self) -> Progress:
        self._show(f"dynet: compiling kernels for this {self._device}, {self._count_text}, once for this machine ...\n")
        return self

    def __exit__(self, problem: object, *_) -> None:
        if self._on_terminal:
            self._print("\n")
        elif problem is None:
            prefix = "" if self._done == self._count else f"{self._done} of "
            self._print(f"dynet: compiled {prefix}{self._count_text} in {time.monotonic() - self._start:.1f} s\n")

    def advance(self) -> None:
        self._done += 1
        self._show("")

    def _show(self, first_line: str) -> None:
        current = min(self._done + 1, self._count)
        terminal_line = f"\rdynet: compiling kernels, {current} of {self._count}, each once for this machine"
        self._print(terminal_line if self._on_terminal else first_line)

    def _print(self, text: str) -> None:
        with suppress(Exception):  # the stream may be closed, or replaced by the program
            if self._device and text and sys.stderr is not None:
                print(text, end="", file=sys.stderr, flush=True)
