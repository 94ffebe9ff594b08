"""Draw a graph: as source text for Graphviz or Mermaid, or as an SVG image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from ..compute.parameter_rows import PARAMETER_ROWS
from ..dim import Dim
from ..graph import Graph
from ..graph.expression import Expression
from ..graph.nodes import Node, nodes_of
from ..recorder import ANY_GRAPH

# Pixels in an SVG image: the height of a box, the width of a letter, the gap between columns of boxes.
LINE, LETTER, GAP = 22, 7, 40


@dataclass(frozen=True)
class Box:
    """A box in the picture of a graph: the call of an op, or a parameter. `operands` are indices of boxes."""

    label: str
    dims: str
    operands: tuple[int, ...]
    is_parameter: bool = False

    @property
    def text(self) -> str:
        return f"{self.label} {self.dims}".strip()


def boxes(
    graph: Graph,
    show_dims: bool = True,
    expression_names: Mapping[Expression, str] | None = None,
    lookup_names: Mapping | None = None,
) -> list[Box]:
    """Return a box for each call of an op, even if it has several nodes, and for each parameter. Operands come first.

    The arguments are as for `api.print_graphviz`.
    """
    names = {(e.at, e.version == ANY_GRAPH): name for e, name in (expression_names or {}).items()}
    rows = {table.name(): names for table, names in (lookup_names or {}).items()}
    found: list[Box] = []
    places: dict[int, int] = {}
    for node in nodes_of(graph.records):
        named = [names[place, False] for place in node.places if (place, False) in names]
        label = ", ".join(named) or node.op
        operands = []
        for operand in node.operands:
            if operand < 0 and operand not in places:
                places[operand] = len(found)
                name = names.get((operand, True), PARAMETER_ROWS.names[-1 - operand])
                found.append(Box(name, "", (), is_parameter=True))
            operands.append(places[operand])
        if node.op.startswith("lookup"):
            label = _lookup_label(label, node, rows.get(found[operands[0]].label))
        places.update(dict.fromkeys(node.places, len(found)))
        found.append(Box(label, described(node.dim) if show_dims else "", tuple(operands)))
    return found


def _lookup_label(label: str, node: Node, names: Sequence[str] | None) -> str:
    rows = [str(row) if names is None else names[row] for row in node.attributes]
    return f"{label} {', '.join(rows[:5])}{', ...' * (len(rows) > 5)}"


def described(dim: Dim) -> str:
    """Return a shape as text for a picture, such as `{3,4} X2` for dimensions (3, 4) and batch size 2."""
    return f"{{{','.join(map(str, dim.dims))}}}" + (f" X{dim.batch}" if dim.batch > 1 else "")


def dot(
    graph: Graph,
    show_dims: bool = True,
    expression_names: Mapping[Expression, str] | None = None,
    lookup_names: Mapping | None = None,
) -> str:
    """Return a graph as source text for Graphviz. The arguments are as for `boxes`."""
    lines = ["digraph G {", "  rankdir=LR;", "  nodesep=.05;"]
    for number, box in enumerate(boxes(graph, show_dims, expression_names, lookup_names)):
        label = box.text.replace("\\", "\\\\").replace('"', '\\"')
        shape = "" if box.is_parameter else ", shape=rect"
        lines.append(f'  N{number} [label="{label}"{shape}];')
        lines += [f"  N{operand} -> N{number};" for operand in box.operands]
    return "\n".join([*lines, "}"])


def mermaid(graph: Graph) -> str:
    lines = ["flowchart LR"]
    for number, box in enumerate(boxes(graph)):
        left, right = ("([", "])") if box.is_parameter else ("[", "]")
        lines.append(f'    N{number}{left}"{escape(box.text)}"{right}')
        lines += [f"    N{operand} --> N{number}" for operand in box.operands]
    return "\n".join(lines) + "\n"


def svg(graph: Graph) -> str:
    """Return a graph as an SVG image. Operands are to the left of the operations that use them."""
    drawn = boxes(graph)
    columns: list[list[int]] = []
    depths: list[int] = []
    for number, box in enumerate(drawn):
        depth = 1 + max([depths[operand] for operand in box.operands], default=-1)
        depths.append(depth)
        columns += [[] for _ in range(depth + 1 - len(columns))]
        columns[depth].append(number)
    corners: dict[int, tuple[int, int, int]] = {}  # number of a box -> its left edge, top edge and width in pixels
    x = GAP // 2
    for column in columns:
        width = max(LETTER * len(drawn[number].text) for number in column) + 2 * LETTER
        for row, number in enumerate(column):
            corners[number] = (x, GAP // 2 + row * (LINE + GAP // 2), width)
        x += width + GAP
    height = GAP + max((len(column) for column in columns), default=0) * (LINE + GAP // 2)
    shapes = [_svg_box(box, *corners[number]) for number, box in enumerate(drawn)]
    lines = [
        _svg_line(corners[operand], corners[number])
        for number, box in enumerate(drawn)
        for operand in dict.fromkeys(box.operands)
    ]
    size = f'width="{x}" height="{height}" viewBox="0 0 {x} {height}"'
    style = 'font-family="monospace" font-size="11" fill="none" stroke="currentColor"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>{"".join([*lines, *shapes])}</svg>'


def _svg_box(box: Box, x: int, y: int, width: int) -> str:
    corner = LINE // 2 if box.is_parameter else 0
    text = f'<text x="{x + LETTER}" y="{y + 15}" fill="currentColor" stroke="none">{escape(box.text)}</text>'
    return f'<rect x="{x}" y="{y}" width="{width}" height="{LINE}" rx="{corner}"/>{text}'


def _svg_line(start: tuple[int, int, int], end: tuple[int, int, int]) -> str:
    x, y, width = start
    return f'<path d="M{x + width} {y + LINE // 2}L{end[0]} {end[1] + LINE // 2}"/>'
