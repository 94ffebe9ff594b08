"""The command `python -m dynet_kernels.tune`, which finds the fastest tuning parameters of kernels on this machine.

The family `cuda` (all GPU kernels) is searched if there is a GPU and a compiler for it.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import os
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from .. import tuning, tuning_records
from ..cuda import compiler
from ..cuda.driver import CudaError, Gpu, NoDriverError
from ..target import host_cpu
from .search import Search
from .shapes import STUDIES
from .timing import CpuTimer, GpuTimer, Timer

TVM_PACKAGES = ("apache-tvm", "apache-tvm-ffi")  # the packages whose versions are written to the results


def parsed_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m dynet_kernels.tune",
        description="Find the parameters with which kernels are fastest on this CPU (DYNET_CPU asks for a lesser one) "
        "and on the GPU, if there is one. They are kept in your cache directory, and used unless DYNET_RECORDS is set.",
    )
    choices = list(tuning.FAMILIES)
    parser.add_argument("--families", nargs="+", choices=choices, help="default: all; cuda only if there is a GPU")
    parser.add_argument("--seconds", type=float, default=420, help="time for all families (default: %(default)s)")
    parser.add_argument("--gpu", type=int, default=0, help="the number of the GPU (default: %(default)s)")
    parser.add_argument("--output", type=Path, help="write the records to this file, not into the cache directory")
    parser.add_argument("--for-kind", action="store_true", help="records for all CPUs of this kind")
    parser.add_argument("--dry-run", action="store_true", help="search, print what is found, and write nothing")
    parser.add_argument("--core", type=int, help="the core to run on (default: the last)")
    options = parser.parse_args(argv)
    if not options.seconds > 0:
        parser.error("--seconds must be more than 0")
    if options.output and not options.output.parent.is_dir():
        parser.error(f"--output: {options.output.parent} is not a directory")
    return options


def pin_to_core(core: int | None) -> None:
    """Run this process on one core, by default the last allowed one. Do nothing where Python cannot choose cores."""
    if hasattr(os, "sched_setaffinity"):
        allowed = os.sched_getaffinity(0)
        if core is not None and core not in allowed:
            raise SystemExit(f"--core {core}: this process may run on {', '.join(map(str, sorted(allowed)))}")
        os.sched_setaffinity(0, {max(allowed) if core is None else core})


class Progress:
    """Shows progress through about `total` candidates, as a bar if tqdm is installed, or else as lines on stderr."""

    def __init__(self, total: int):
        self.bar, self.last_text, self.write_line = None, "", print
        with suppress(ImportError):
            from tqdm import tqdm

            self.bar = tqdm(total=total, unit="candidate")
            self.write_line = self.bar.write

    def __call__(self, text: str) -> None:
        if self.bar is not None:
            self.bar.set_description(text, refresh=False)
            self.bar.update()
        elif text != self.last_text:
            print(text, file=sys.stderr, flush=True)
        self.last_text = text

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()


def find_gpu(options: argparse.Namespace) -> Gpu | None:
    """Return the GPU to tune for. If there is no GPU or compiler, return None, or exit if `cuda` was requested."""
    if options.families and "cuda" not in options.families:
        return None
    try:
        card = Gpu(options.gpu)
        compiler.compiler_name()
        return card
    except CudaError as problem:
        if options.families:
            raise SystemExit(f"cannot tune kernels for a GPU: {problem}") from None
        if not isinstance(problem, NoDriverError):
            print(f"kernels for the GPU are not tuned: {problem}", file=sys.stderr)
        return None


def record_for(family: str, timer: Timer, for_all_of_kind: bool = False) -> tuning_records.TuningRecord:
    """Return a record of a family for the timer's device, with the parameters now in use, and without speedups."""
    _, current = tuning_records.records_in_use(timer.target)[family]
    kind = tuning_records.kind_of(timer.target)
    cpu = "" if for_all_of_kind else getattr(timer.target, "identity", "")
    device = timer.gpu.name if isinstance(timer, GpuTimer) else f"one core of a {_cpu_model()}"
    measured = f"{device}; least times, by turns with the default parameters"
    versions = {name: importlib.metadata.version(name) for name in TVM_PACKAGES}
    date = datetime.date.today().isoformat()
    return tuning_records.TuningRecord(
        family, kind, current.parameters, cpu, measured=measured, versions=versions, date=date
    )


def main(argv: list[str] | None = None) -> None:
    options = parsed_arguments(argv)
    pin_to_core(options.core)
    target, card = host_cpu(), find_gpu(options)
    path = None if options.dry_run else options.output or tuning_records.user_file()
    families = [name for name in STUDIES if name in (options.families or STUDIES) and (card or name != "cuda")]
    timers: dict[str, Timer] = dict.fromkeys(families, CpuTimer(target, tuning_records.for_cpu(target)))
    if card:
        timers["cuda"] = GpuTimer(card)
    base_records = {family: record_for(family, timer, options.for_kind) for family, timer in timers.items()}
    searches = {family: Search(family, timer, base_records[family].parameters) for family, timer in timers.items()}
    progress = Progress(sum(search.candidate_count() for search in searches.values()))
    end, shares = time.monotonic() + options.seconds, sum(search.study.share for search in searches.values())
    try:
        for family, search in searches.items():
            # The remaining families share the time that is left, in proportion to `Study.share`.
            seconds = (end - time.monotonic()) * search.study.share / shares
            shares -= search.study.share
            values, is_complete = search.run(seconds, progress)
            record = replace(base_records[family], parameters=values, figure=search.speedups(values))
            if path:  # write after each family, so that an interrupted run keeps its results
                old_records = tuning_records.read(path) if path.exists() else []
                tuning_records.write(path, tuning_records.merged(old_records, [record]))
            counts = f"{search.try_count} tried" + (f", {search.refused_count} refused" if search.refused_count else "")
            progress.write_line(f"{family}: {values} ({counts}{'' if is_complete else ', time ran out'})")
            progress.write_line("  " + ", ".join(f"{label}: {figure}" for label, figure in record.figure.items()))
    finally:
        progress.close()
    if path:
        print(f"written to {path}")


def _cpu_model() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith(("model name", "Model")):
                return line.partition(":")[2].strip()
    return host_cpu().machine


if __name__ == "__main__":
    main()
