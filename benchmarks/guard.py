"""Stores this project's speed relative to DyNet's (`run.py --record`), and checks it later (`run.py --quick`)."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

RECORDED = Path(__file__).resolve().parent / "recorded.json"
FALL = 0.15
"""The fraction of a ratio that may be lost."""
ATTEMPTS = 2


def record(ratios: Mapping[str, float | None], path: Path, cpu: str) -> None:
    """Write the ratios for a CPU to the file. Rows that were not measured keep theirs."""
    cpus = json.loads(path.read_text()) if path.exists() else {}
    cpus[cpu] = cpus.get(cpu, {}) | {name: round(ratio, 2) for name, ratio in ratios.items() if ratio}
    path.write_text(json.dumps(cpus, indent=2) + "\n")


def load(path: Path, cpu: str) -> dict[str, float]:
    """Return the ratios for a CPU by row. A row not recorded on it has its lowest ratio on other CPUs."""
    if not path.exists():
        print(f"{path.name} does not exist, so no ratio can have fallen; --record writes it", file=sys.stderr)
        return {}
    cpus = json.loads(path.read_text())
    least = {}
    for ratios in cpus.values():
        for name, ratio in ratios.items():
            least[name] = min(ratio, least.get(name, ratio))
    own = cpus.get(cpu, {})
    if missing := "; ".join(name for name in least if name not in own):
        rows = f"these rows: {missing}" if own else "all rows"
        print(f"not recorded on {cpu}, so the least ratio of the other CPUs counts for {rows}", file=sys.stderr)
    return least | own


def unrecorded(ratios: Mapping[str, float | None], recorded: Mapping[str, float]) -> list[str]:
    """Return the rows that cannot be checked, because no ratio was ever recorded for them."""
    return [name for name in ratios if name not in recorded]


def check(
    ratios: Mapping[str, float | None], recorded: Mapping[str, float], measure_again: Callable[[str], float | None]
) -> list[str]:
    """Return a line for each row that lost more than allowed.

    A row that seems to have lost speed is measured again, for longer, because a busy machine is the likelier cause. A
    row without a ratio has failed and counts as a complete loss.
    """
    fallen = []
    for name, ratio in ratios.items():
        if name not in recorded:  # reported by `unrecorded`
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
