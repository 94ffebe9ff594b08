"""Layer normalization and weight normalization."""

from __future__ import annotations

from ..declare import *
from ..elementwise.arithmetic import add, cmult
from ..input.inputs import ones, zeros
from ..reduce.dims import squared_differences


def _normalize(x):
    """Return formulas: x normalized; a number that is 0 if x is constant; 1 / standard deviation; the element count.

    Elements count as equal if the squares of their differences underflow to 0. One reciprocal saves slow divisions.
    """
    count = f.sum(1.0)
    centered = x - f.sum(x) / count
    squares = f.sum(centered * centered)
    scale = 1 / f.sqrt(squares / count)
    return centered * scale, f.minimum(squares, squared_differences(x)), scale, count


def _unless_constant(variation, value):
    """Return 0 where `variation`, the second result of `_normalize`, is 0, else `value`, which may be NaN there."""
    return f.where(f.equal(variation, 0), 0, value)


def _layer_norm_value(x, g, b):
    normal, variation, _, _ = _normalize(x)
    return _unless_constant(variation, g * normal) + b


def _layer_norm_dx(x, g, dy):
    normal, variation, scale, count = _normalize(x)
    gradient_sum, dot = f.sum(dy * g), f.sum(dy * g * normal)
    return _unless_constant(variation, (dy * g - gradient_sum / count - normal * (dot / count)) * scale)


def _layer_norm_dg(x, dy):
    normal, variation, _, _ = _normalize(x)
    return _unless_constant(variation, dy * normal)


add_rules(
    "layer_norm", "yxgb", {"y": _layer_norm_value, "dx": _layer_norm_dx, "dg": _layer_norm_dg, "db": lambda dy: dy}
)


def _layer_norm_signature(*dims: Dim) -> Signature:
    result = matched("layer_norm", dims)
    return computed("layer_norm", result, (result.size,), by_batch_elements(result, dims), result.batch)


_record_layer_norm = many_operands("layer_norm", by_plain_dims(_layer_norm_signature))


@recorded(
    reference=broadcasting(lambda x, g, b: g * (x - x.mean()) / x.std() + b),
    samples="2 2 2; 7*3 7 7; 17x2 17x2*2 17x2; 33*4 33*4 33*4; 7x1*2 7x1*2 7x1; 1x5 1x5 1x5; 7x1 7 7x1x1*2; "
    "3x1 3x3 3x1x1; 3x4*2 3x4 1x1x2",
)
def layer_norm(x: Expression, g: Expression, b: Expression) -> Expression:
    """Normalize x to mean 0 and standard deviation 1, then scale it by g and shift it by b.

    y = g (x - mean(x)) / sqrt(mean((x - mean(x))^2)) + b, element by element; means are over each batch element. If a
    batch element is constant, y is b there, and x and g get no gradient from this batch element.

    The scale g and the shift b usually have the dimensions of x. Other shapes are broadcast, as by `cmult` and `+`.

    Source: Ba, Kiros and Hinton, "Layer normalization", 2016.

    >>> layer_norm(inputVector([1, 3]), inputVector([1, 1]), inputVector([0, 10])).value()
    [-1.0, 11.0]
    """
    try:
        return _record_layer_norm((x, g, b))
    except ShapeError:
        if 0 in (x.type.total, g.type.total, b.type.total):
            raise  # the error says which operand has size 0, and broadcasting cannot help
        broadcast("layer_norm", [x.type, g.type, b.type])  # only to check the shapes, with errors that name layer_norm
        normal = _record_layer_norm((x, ones(x.type.dims), zeros(x.type.dims)))
        return add(cmult(g, normal), b)


derive_rules("weight_norm", Formula.of(lambda w, g: w * (g / f.sqrt(f.sum(w * w)))), "wg", ("g",))


def _weight_norm_signature(*dims: Dim) -> Signature:
    w, g = dims
    if g.size != 1:
        raise ShapeError(f"weight_norm: g must be a single number: w, g are {described(dims)}")
    result = Dim.of(w.dims, common_batch("weight_norm", dims))
    return computed("weight_norm", result, (w.size,), by_batch_elements(result, dims), result.batch)


@by_dims(
    _weight_norm_signature,
    reference=lambda w, g: g * w / np.sqrt((w * w).sum()),
    samples="2 1; 7x3 1*3; 33*2 1; 17x2x3*4 1*4; 1*2 1; 1 1",
)
def weight_norm(w: Expression, g: Expression) -> Expression:
    """Scale weights to the norm g, y = g w / |w|.

    |w| is the Euclidean norm over all dimensions. g is an expression with a single number.

    Source: Salimans and Kingma, "Weight normalization", 2016.

    >>> weight_norm(inputVector([3, 4]), scalarInput(10)).value()
    [6.0, 8.0]
    """
    ...


__all__ = ["layer_norm", "weight_norm"]
