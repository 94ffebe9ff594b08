"""The command `python -m dynet_kernels.build`, which compiles all kernels ahead of time, into this user's cache.

By default, it compiles for exactly this CPU. `--for x86-64-v4` compiles for all CPUs of a kind, for example for a
container image. `--into FOLDER` also writes files for a wheel of dynet-kernels.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from . import tuning_records
from .cache import shipped_code, store
from .machine import library
from .machine.parts import Part, Planner, Shard, key_of, key_of_code
from .recorder.compiled import Recorder
from .table import KERNELS
from .target import BUILD_TARGETS, CpuTarget, host_cpu, precisions_of

# These packages add their kernels to the table of all kernels (`table.py`) when they are imported.
PACKAGES = ("dynet_ops", "dynet_rnn", "dynet_optim")


def parsed_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m dynet_kernels.build",
        description="Compile all kernels now, so that programs need not. By default this is done for exactly this CPU. "
        "The code is kept in your cache directory.",
    )
    parser.add_argument(
        "--for",
        nargs="+",
        action="extend",
        choices=BUILD_TARGETS,
        default=[],
        metavar="KIND",
        dest="kinds",
        help=f"compile for all CPUs of these kinds instead, on any machine: {', '.join(BUILD_TARGETS)}",
    )
    parser.add_argument(
        "--into", type=Path, metavar="FOLDER", help="also write files for a wheel of dynet-kernels into an empty folder"
    )
    options = parser.parse_args(argv)
    options.kinds = list(dict.fromkeys(options.kinds))
    if into := options.into:
        if not options.kinds:
            parser.error("--into: name the kinds of CPU with --for, since a wheel is for many machines")
        if not into.is_dir():
            parser.error(f"--into: {into} is not a directory")
        if not os.access(into, os.W_OK | os.X_OK):
            parser.error(f"--into: {into} cannot be written to")
        if any(into.iterdir()):
            parser.error(f"--into: {into} is not empty; a wheel must not hold files of other builds")
    return options


def import_packages() -> None:
    """Import the installed packages of this library that define kernels."""
    # Choose the recorder in Python: otherwise, importing would first compile the recorder for this process.
    os.environ["DYNET_RECORDER"] = "python"
    for name in PACKAGES:
        if importlib.util.find_spec(name) is not None:
            importlib.import_module(name)


def parts_for(target: CpuTarget) -> list[Part]:
    """Return all parts that programs on the CPU `target` may need: the planner, the recorder, and every shard."""
    kernels = [KERNELS.shard(index) for index in KERNELS.shard_indices()]
    shards = [Shard(shard, target, factors=way) for way in precisions_of(target) for shard in kernels]
    # Shards without products have the same key for each precision.
    return [Planner(target), Recorder(target), *{shard.key: shard for shard in shards}.values()]


def build(target: CpuTarget, into: Path | None) -> dict[str, str]:
    """Compile all parts for a CPU into the cache, and also into the folder `into` if given. Return the index for it."""
    parts, index = parts_for(target), {}
    codes = library.load_modules(parts, load=bytes, allow_general_code=False)
    for part, code in zip(parts, codes):
        if into:
            index[key_of_code(part, "", part.key, with_versions=False)] = key = key_of(part, with_versions=False)
            shipped_code.write(into, key, code)
        elif store.find_object(key_of(part)) is None:
            raise store.CacheError(f"{store.cache_directory()} does not keep what was compiled: is the disk full?")
    size = sum(map(len, codes)) / 2**20
    print(f"{target.identity}: {len(parts)} modules, {size:.1f} MiB, in {into or store.cache_directory()}")
    return index


def main(argv: Sequence[str] | None = None) -> None:
    options = parsed_arguments(argv)
    if options.into:
        # A wheel must depend neither on this user's tuning records nor on those that the environment names.
        os.environ["DYNET_RECORDS"] = str(tuning_records.SHIPPED_RECORDS)
    try:
        import_packages()
        index = {}
        for target in [BUILD_TARGETS[kind] for kind in options.kinds] or [host_cpu()]:
            index |= build(target, options.into)
        if options.into:
            (options.into / shipped_code.INDEX_NAME).write_text(json.dumps(index))
    except (store.CacheError, OSError, ValueError) as problem:
        sys.exit(f"python -m dynet_kernels.build: {problem}")
    except KeyboardInterrupt:
        sys.exit("python -m dynet_kernels.build: interrupted; the next call continues from here")


if __name__ == "__main__":
    main()
