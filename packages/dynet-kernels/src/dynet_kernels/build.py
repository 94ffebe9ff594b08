"""The command `python -m dynet_kernels.build`, which compiles all kernels of this library beforehand.

Without arguments it compiles for exactly this CPU. `--for x86-64-v4` compiles for all CPUs of a kind, for example when
a container image is built. The code is stored in this user's cache. `--into FOLDER` also writes it to files that can be
put into a wheel of dynet-kernels.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from . import cache, library, shipped_code
from .parts import Part, Planner, Shard, key_of
from .recorder.compiled import Recorder
from .table import KERNELS
from .target import NAMED, CpuTarget, host_cpu

# The packages of this library that define kernels. When imported, they add these to the table of all kernels.
PACKAGES = ("dynet_ops", "dynet_rnn", "dynet_optim")


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m dynet_kernels.build",
        description="Compile all kernels now, so that programs need not. By default this is done for exactly this CPU. "
        "The code is kept in your cache directory.",
    )
    parser.add_argument(
        "--for",
        nargs="+",
        choices=NAMED,
        default=[],
        metavar="KIND",
        dest="kinds",
        help=f"compile for all CPUs of these kinds instead, on any machine: {', '.join(NAMED)}",
    )
    parser.add_argument("--into", type=Path, metavar="FOLDER", help="write files for a wheel of dynet-kernels")
    chosen = parser.parse_args(given)
    if chosen.into and not chosen.into.is_dir():
        parser.error(f"--into: {chosen.into} is not a directory")
    if chosen.into and not chosen.kinds:
        parser.error("--into: name the kinds of CPU with --for, since a wheel is for many machines")
    return chosen


def import_packages() -> None:
    """Import those packages of this library that are installed and define kernels.

    When imported, a package adds its kernels to the table of all kernels (`table.py`).
    """
    # Choose the recorder (the code that appends operations to a graph) that runs as Python code. Otherwise the imports
    # would first compile the recorder for the use of this process.
    os.environ["DYNET_RECORDER"] = "python"
    for name in PACKAGES:
        if importlib.util.find_spec(name) is not None:
            importlib.import_module(name)


def parts_for(target: CpuTarget) -> list[Part]:
    """Return all parts of the machine code that programs may need, each to be compiled for the CPU `target`.

    These are the planner, which turns a graph into a list of kernel calls; the recorder, which appends operations to a
    graph; and every *shard*, which is a group of kernels that are compiled together.
    """
    shards = [Shard(KERNELS.shard(number), target) for number in KERNELS.shards()]
    return [Planner(target), Recorder(target), *shards]


def main(given: Sequence[str] | None = None) -> None:
    chosen = arguments(given)
    import_packages()
    for target in [NAMED[kind] for kind in chosen.kinds] or [host_cpu()]:
        parts = parts_for(target)
        try:
            built = library.modules(parts, load=bytes, general=False)
        except cache.CacheError as problem:
            sys.exit(f"python -m dynet_kernels.build: {problem}")
        if chosen.into:
            for part, code in zip(parts, built):
                shipped_code.write(chosen.into, key_of(part, with_versions=False), code)
        size = sum(map(len, built)) / 2**20
        print(f"{target.identity}: {len(parts)} modules, {size:.1f} MiB, in {chosen.into or cache.cache_directory()}")


if __name__ == "__main__":
    main()
