"""What `run.py --record` keeps, this project's speed over DyNet's best, and what `--quick` holds against it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

RECORDED = Path(__file__).resolve().parent / "recorded.json"
FALL = 0.15
"""The part of a ratio that may be lost."""
ATTEMPTS = 2


def record(ratios: Mapping[str, float | None], path: Path, cpu: str) -> None:
    """Write down ratios on a CPU; rows that were not measured keep theirs."""
    cpus = json.loads(path.read_text()) if path.exists() else {}
    cpus[cpu] = cpus.get(cpu, {}) | {name: round(ratio, 2) for name, ratio in ratios.items() if ratio}
    path.write_text(json.dumps(cpus, indent=2) + "\n")


def load(path: Path, cpu: str) -> dict[str, float]:
    """The ratios on a CPU by row; where none were recorded on it, the least that any other reached."""
    if not path.exists():
        print(f"{path.name} does not exist, so no ratio can have fallen; --record writes it", file=sys.stderr)
        return {}
    cpus = json.loads(path.read_text())
    if cpu in cpus:
        return cpus[cpu]
    print(f"the recorded ratios are of {'; '.join(cpus)}: the least of each row counts for {cpu}", file=sys.stderr)
    rows = {name for ratios in cpus.values() for name in ratios}
    return {name: min(ratios[name] for ratios in cpus.values() if name in ratios) for name in rows}


def check(
    ratios: Mapping[str, float | None], recorded: Mapping[str, float], measure_again: Callable[[str], float | None]
) -> list[str]:
    """A line for each row that lost more than it may.

    A row that seems to have is measured again, longer, since a busy machine is the likelier reason. A row without a
    ratio, as it failed, has lost it all.
    """
    fallen = []
    for name, ratio in ratios.items():
        if name not in recorded:
            continue
        least = (1 - FALL) * recorded[name]
        attempts = 0
        while (ratio or 0) < least and attempts < ATTEMPTS:
            ratio = measure_again(name)
            attempts += 1
        if (ratio or 0) < least:
            now = f"is {ratio:.2f}" if ratio else "could not be measured"
            fallen.append(f"{name}: the ratio to DyNet {now}, recorded is {recorded[name]:.2f}, at least {least:.2f}")
    return fallen
