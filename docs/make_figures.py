"""Draws what the examples learn: python docs/make_figures.py runs each with its default options, for minutes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
EXAMPLES = {
    "tagger": (r"dev accuracy (\S+)", "accuracy on held-out sentences"),
    "language_model": (r"held-out perplexity (\S+)", "perplexity of held-out sentences"),
    "tree_lstm": (r"held-out accuracy (\S+)", "accuracy on held-out sentences"),
}
WIDTH, HEIGHT, EDGE = 480, 220, 44
GREY, BLUE = "#808080", "#2f7fd1"  # both can be read on white and on black


def text(x: float, y: float, content: str, anchor: str = "middle", colour: str = GREY) -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" fill="{colour}" text-anchor="{anchor}">{content}</text>'


def drawing(values: list[float], title: str) -> str:
    """Return a curve of a value for each epoch, as SVG."""
    low, high = min(values), max(values)
    wide, tall = WIDTH - 2 * EDGE, HEIGHT - 2 * EDGE

    def place(number: int) -> tuple[float, float]:
        height = (values[number] - low) / (high - low or 1)
        return EDGE + wide * number / max(len(values) - 1, 1), HEIGHT - EDGE - tall * height

    points = [place(number) for number in range(len(values))]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        text(WIDTH / 2, 16, title),
        f'<path d="M{EDGE} {HEIGHT - EDGE + 12}H{WIDTH - EDGE}" stroke="{GREY}"/>',
        f'<polyline points="{" ".join(f"{x:.0f},{y:.0f}" for x, y in points)}" fill="none" stroke="{BLUE}" '
        'stroke-width="2"/>',
    ]
    for number, ((x, y), value) in enumerate(zip(points, values), start=1):
        shown = f"{value:.3f}" if value < 1 else f"{value:.0f}"
        parts += [f'<circle cx="{x:.0f}" cy="{y:.0f}" r="3" fill="{BLUE}"/>', text(x - 8, y - 8, shown, colour=BLUE)]
        parts.append(text(x, HEIGHT - EDGE + 28, f"epoch {number}"))
    return "\n".join([*parts, "</svg>"]) + "\n"


def main() -> None:
    for name, (pattern, title) in EXAMPLES.items():
        command = [sys.executable, str(DOCS.parent / "examples" / name / "train.py")]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        epochs = [line for line in done.stdout.splitlines() if line.startswith("epoch ")]
        values = [float(found[1]) for line in epochs if (found := re.search(pattern, line))]
        (DOCS / "figures" / f"{name}.svg").write_text(drawing(values, title), encoding="utf-8")


if __name__ == "__main__":
    main()
