"""Layer normalization and weight normalization."""

from __future__ import annotations

from ..declare import *
from ..elementwise.arithmetic import add, cmult
from ..input.inputs import ones, zeros
from ..reduce.dims import squared_differences
from ..shape.layout import reshape, transpose


def _normalize(x):
    """Return formulas: x normalized; a number that is 0 if x is constant; 1 / standard deviation; the element count.

    Elements count as equal if the squares of their differences underflow to 0. One reciprocal saves slow divisions.
    """
    count = f.sum(1.0)
    centered = x - f.sum(x) / count
    squares = f.sum(centered * centered)
    scale = 1 / f.sqrt(squares / count)
    return centered * scale, f.minimum(squares, squared_differences(x)), scale, count


def _unless_constant(variation, value) -> Any:
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


def _inverse_root(x):
    """Return 1 / sqrt(mean of squares), 0 if that mean is 0 or underflows."""
    mean = f.sum(x * x) / f.sum(1.0)
    return f.where(f.equal(mean, 0), 0, 1 / f.sqrt(mean))


def _rms_norm_dx(x, g, dy):
    scale = _inverse_root(x)
    normal = x * scale
    return (dy * g - normal * (f.sum(normal * dy * g) / f.sum(1.0))) * scale


@columnwise(
    gradients={"x": _rms_norm_dx, "g": lambda x, dy: dy * x * _inverse_root(x)},
    name_in_errors="rms_norm",
    reference=lambda x, g: g * x / np.sqrt((x * x).mean(0)),
)
def column_rms_norm(x: Expression, g: Expression) -> Expression:
    """Divide each column by the root of its mean square, and scale it."""
    return g * (x * _inverse_root(x))


def _normalized_along(name: str, normalize: Callable, x: Expression, vectors: Sequence[Expression], d) -> Expression:
    """Apply `normalize`, which takes a batch of vectors, to x along dimension d. `vectors` are its other operands."""
    graph_of(name, (x, *vectors))
    dim, d = shape_along(name, x, d)
    size = dim.dims[d]
    for v in vectors:
        if of_rank(v.type.dims, 1) != (size,):
            needed = f"has the size {size}, so a vector ({size},) is needed, not {v.type!r}"
            raise ShapeError(f"{name}: dimension {d} of x {dim!r} {needed}")
    batch = common_batch(name, [dim, *[v.type for v in vectors]])
    if d:
        order = [d, *[k for k in range(len(dim.dims)) if k != d]]
        y = _normalized_along(name, normalize, transpose(x, order), vectors, 0)
        return transpose(y, [order.index(k) for k in range(len(dim.dims))])
    whole = Dim.of(dim.dims, batch)
    x = x if dim.batch == batch else repeat(x, whole)
    columns = [x, *[v if v.type.batch == 1 else repeat(v, whole) for v in vectors]]
    y = normalize(*[reshape(v, (size,), v.type.columns * v.type.batch) for v in columns])
    return reshape(y, dim.dims, batch)


def _along(normalize: Callable) -> Callable:
    def reference(x, g, b=0.0, d=0):
        vectors = [np.reshape(v, [-1 if k == d else 1 for k in range(x.ndim)]) for v in (g, np.asarray(b))]
        return vectors[0] * normalize(x, d) + vectors[1]

    return reference


@recorded(
    reference=_along(lambda x, d: (x - x.mean(d, keepdims=True)) / x.std(d, keepdims=True)),
    samples="7 7 7; 17x3*2 17 17; 5x9 9*2 9 d=1; 3x4x2*3 4 4*3 d=1; 3x2x5 5 5 d=2; 3x33*2 3x1 3",
)
def layer_norm_dim(x: Expression, g: Expression, b: Expression, d: Index = 0) -> Expression:
    """Normalize x along one dimension to mean 0 and standard deviation 1, then scale it by g and shift it by b.

    y = g (x - mean(x)) / sqrt(mean((x - mean(x))^2)) + b, where means are over dimension d. With d = 0, each column of
    a matrix is normalized, such as a word of a sentence; `layer_norm` normalizes the whole matrix, as in DyNet. Where
    all elements along d are equal, y is b, and x and g get no gradient.

    Args:
        x: an expression of any shape.
        g, b: vectors of the size of dimension d, the scale and the shift.
        d: the dimension.

    Raises:
        ShapeError: g or b has another size.

    Source: Ba, Kiros and Hinton, "Layer normalization", 2016.

    >>> x = inputTensor([[1, 5], [3, 9]])
    >>> layer_norm_dim(x, inputVector([1, 1]), inputVector([0, 10])).npvalue()
    array([[-1., -1.],
           [11., 11.]])
    """
    return _normalized_along("layer_norm_dim", layer_norm, x, (g, b), d)


@recorded(
    reference=_along(lambda x, d: x / np.sqrt((x * x).mean(d, keepdims=True))),
    samples="7 7; 17x3*2 17; 5x9 9*2 d=1; 3x4x2*3 4 d=1; 3x2x5 5 d=2",
)
def rms_norm(x: Expression, g: Expression, d: Index = 0) -> Expression:
    """Divide x by its root mean square along one dimension, then scale it by g: y = g x / sqrt(mean(x^2)).

    Where the mean square is 0, y is 0, and x and g get no gradient.

    Args:
        x: an expression of any shape.
        g: a vector of the size of dimension d, the scale.
        d: the dimension; 0 for each column.

    Raises:
        ShapeError: g has another size.

    Source: Zhang and Sennrich, "Root mean square layer normalization", 2019.

    >>> rms_norm(inputVector([1, 7]), inputVector([1, 10])).npvalue().round(4)
    array([ 0.2, 14. ])
    """
    return _normalized_along("rms_norm", column_rms_norm, x, (g,), d)


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


__all__ = ["layer_norm", "layer_norm_dim", "rms_norm", "weight_norm"]
