"""The logarithm of a sum of exponentials of several expressions."""

from __future__ import annotations

from ..declare import *
from ..elementwise.extremes import SEVERAL, checked_together, folded
from ..shape.layout import reshape

AT_ONCE = 4  # the most operands that one node can have; for more, `logsumexp` adds several nodes


def _terms(xs):
    """Return formulas: the largest of the xs, and for each x the term e^(x - largest).

    The term of the largest x is 1 even if x is infinite, where infinity - infinity would give NaN.
    """
    largest = xs[0]
    for x in xs[1:]:
        largest = f.maximum(largest, x)
    return largest, [f.where(f.equal(x, largest), 1, f.exp(x - largest)) for x in xs]


def _value(*xs):
    largest, terms = _terms(xs)
    return largest + f.log(sum(terms[1:], terms[0]))


def _gradients(dz, *xs):
    _, terms = _terms(xs)
    part = dz / sum(terms[1:], terms[0])
    return {name: part * term for name, term in zip(("da", "db", "dc", "dd"), terms)}


def _add_kernels(count: int, value: Callable, gradients: Callable) -> None:
    views = "zabcd"[: count + 1]
    KERNELS.add(f"logsumexp.{count}", Rule((*views,), {"z": value}))
    KERNELS.add(f"logsumexp.{count}.backward", Rule((*views,), gradients))


_add_kernels(
    2,
    lambda a, b: f.where(f.equal(a, b), a + float(np.log(2)), f.maximum(a, b) + f.log1p(f.exp(-f.absolute(a - b)))),
    lambda a, b, dz: _gradients(dz, a, b),
)
_add_kernels(3, lambda a, b, c: _value(a, b, c), lambda a, b, c, dz: _gradients(dz, a, b, c))
_add_kernels(4, lambda a, b, c, d: _value(a, b, c, d), lambda a, b, c, d, dz: _gradients(dz, a, b, c, d))


def _signature_for(count: int) -> Callable[[Dim], Signature]:
    @by_plain_dims
    def signature_of(dim: Dim) -> Signature:
        return Signature(
            dim,
            name="logsumexp",
            views=[View(SELF), *map(View, range(count))],
            forward=[Step(f"logsumexp.{count}", (dim.total,))],
            backward=[Step(f"logsumexp.{count}.backward", (dim.total,), gradient_of=ANY_OPERAND)],
        )

    return signature_of


_signatures = {count: _signature_for(count) for count in range(2, AT_ONCE + 1)}


@recorded(reference=lined_up(lambda *xs: folded(np.logaddexp, xs), shortest), samples=SEVERAL)
def logsumexp(xs: Iterable[Expression]) -> Expression:
    """The logarithm of the sum of the exponentials of any number of expressions, element by element.

    y = log(sum over j of e^(x_j)), without overflow. Shapes are broadcast; trailing dimensions of size 1 are dropped.

    >>> logsumexp([inputVector([0, 100]), inputVector([0, 100])]).npvalue().round(3)
    array([  0.693, 100.693])
    """
    xs, whole = checked_together("logsumexp", xs, shortest)
    if any(x.type.total != whole.total for x in xs):
        xs = [repeat(x, whole) for x in xs]
    graph = graph_of("logsumexp", xs)
    while len(xs) > 1:  # combining them in groups makes the graph as deep as the logarithm of the number of operands
        groups = [xs[k : k + AT_ONCE] for k in range(0, len(xs), AT_ONCE)]
        xs = [
            graph.append(_signatures[len(group)](whole), [x.at for x in group]) if len(group) > 1 else group[0]
            for group in groups
        ]
    return xs[0] if xs[0].type.plain is whole else reshape(xs[0], whole.dims)


__all__ = ["logsumexp"]
