"""Draws the table: each peer's speed relative to the fastest, and this project's speed as a bar."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from competitors import Result

COLOURS = {
    "DyNet": "#5b8db8", "DyNet autobatch": "#1f4e79", "torch": "#e07b39", "PyG": "#a04a1a", "JAX": "#6a9f58",
    "MLX": "#b8860b",
}  # fmt: skip
MARKS = {"DyNet": "o", "DyNet autobatch": "s", "torch": "^", "PyG": "<", "JAX": "D", "MLX": "v"}
BAR = "#d9d2e9"


def draw(results: Sequence[Result], path: Path, title: str) -> None:
    """Write an SVG with a bar for this project and a mark for each peer in every row, scaled so that the best peer is
    at 1."""
    try:
        import matplotlib
    except ImportError:
        sys.exit("--draw needs matplotlib: pip install matplotlib")
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "benchmarks"  # equal results give an identical file
    from matplotlib import pyplot

    rows = [result for result in results if result.ratio()]
    figure, axes = pyplot.subplots(figsize=(8, 1.2 + 0.3 * len(rows)), layout="constrained")
    places = range(len(rows))
    ratios = [result.ratio() for result in rows]
    axes.barh(places, ratios, height=0.7, color=BAR, label="this project", zorder=1)
    for name in MARKS:
        points = [(speed / best_of(row), place) for place, row in zip(places, rows) if (speed := row.speeds.get(name))]
        if points:
            axes.scatter(*zip(*points), marker=MARKS[name], s=24, color=COLOURS[name], label=name, zorder=3)
    for place, ratio in zip(places, ratios):
        axes.annotate(
            f"{ratio:.2f}", (max(ratio, 1), place), (6, 0), textcoords="offset points", va="center", fontsize=8
        )
    axes.axvline(1, color="#444444", linewidth=0.8, zorder=2)
    axes.set_yticks(places, [f"{row.row.name}, {row.row.minibatch}" for row in rows], fontsize=9)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0, 1.1 * max([1.0, *ratios]))
    axes.set_xlabel("speed; 1 is the best peer")
    axes.set_title(title, fontsize=9)
    axes.legend(loc="lower right", fontsize=8, framealpha=0.9)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.savefig(path, format="svg", metadata={"Date": None})
    pyplot.close(figure)


def best_of(result: Result) -> float:
    """Return the best peer's speed."""
    *others, _ = result.speeds.values()
    return max(speed for speed in others if speed)
