"""Runs the programs in this folder under both libraries and compares them in a table.

    DYNET_REFERENCE_PYTHON=... python tests/parity/programs [--write] [NAME ...]

With --write, the full table goes into docs/programs.md. `nox -s programs` also makes the environments.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from catalogue import PROGRAMS, Program  # noqa: E402
from running import run_script  # noqa: E402

FILE = HERE.parents[2] / "docs" / "programs.md"
HEAD = """# Programs of every kind

One program of each kind that is written with DyNet, as its users write them (`tests/parity/programs`), on a toy
language, under real DyNet 2.1 (dyNET38) and here, from one seed. `nox -s parity` checks that the losses of the first
step agree to 1e-5, those of the first ten to 2e-3, and that what is learned is as good. Later losses differ: trainers
make much of rounding, and dropout draws other numbers. The final loss is the mean of the last tenth of the steps; the
quality is that on held-out data.

CPU time, in seconds, is that of the whole program after `import dynet`, on one thread, kernels being compiled already.
{date}, {machine}. `nox -s programs -- --write` makes this file anew.

| program | quality | first loss, DyNet | here | final loss, DyNet | here | quality, DyNet | here | CPU, DyNet | here |
|---|---|---|---|---|---|---|---|---|---|
"""


def compared(program: Program, reference: str) -> str:
    """The table row of a program."""
    script = HERE / f"{program.name}.py"
    environment = {**program.environment, "DYNET_NUM_THREADS": "1"}
    run_script([sys.executable], script, environment=environment)  # compiles missing kernels
    both = [run_script([reference, "-E"], script), run_script([sys.executable], script, environment=environment)]
    cells = [f"[{program.what}](../tests/parity/programs/{program.name}.py)", program.measure]
    cells += [f"{result['first losses'][0]:.6g}" for result in both]
    cells += [f"{result['final loss']:.3g}" for result in both]
    cells += [f"{result['quality']:.4g}" for result in both]
    cells += [f"{result['CPU seconds']:.2f}" for result in both]
    return f"| {' | '.join(cells)} |\n"


def machine() -> str:
    """The CPU's vendor and family, without host names."""
    name = platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as lines:
            name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    return f"{name}, {os.cpu_count()} cores"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="programs, if not all")
    parser.add_argument("--write", action="store_true", help=f"write docs/{FILE.name}")
    options = parser.parse_args()
    if options.write and options.names:
        parser.error("the file has all programs: give no names with --write")
    reference = os.environ.get("DYNET_REFERENCE_PYTHON")
    if not reference:
        parser.error("DYNET_REFERENCE_PYTHON names no Python with real DyNet; `nox -s programs` sets it")
    text = HEAD.format(date=datetime.date.today(), machine=machine())
    print(text, end="")
    for program in PROGRAMS:
        if not options.names or program.name in options.names:
            row = compared(program, reference)
            print(row, end="", flush=True)
            text += row
    if options.write:
        FILE.write_text(text)


if __name__ == "__main__":
    main()
