"""Random tensors, noise and dropout."""

from __future__ import annotations

from ..declare import *
from ..elementwise.arithmetic import cmult


def random_node(name: str, formula: Callable) -> Callable[..., Expression]:
    """Return a function that adds a random node with a new random key to the graph.

    The function takes the node's operands, the plain numbers that the formula reads, and the shape, by default that of
    the first operand. `formula` computes one element, from x (if there is an operand), the key (seed, count), and the
    plain numbers.
    """
    parsed = Formula.of(formula)
    operand_count = parsed.names.count("x")
    numbers = parsed.names[operand_count:]
    derive_rules(name, parsed, "x", numbers)

    @by_sizes
    def signature_of(dim: Dim) -> Signature:
        views = [View(SELF), *map(View, range(operand_count)), *number_views(len(numbers))]
        return computed(name, dim, (dim.total,), views, name=name)

    def record(xs: Sequence[Expression], *values: float, dim: Dim | None = None) -> Expression:
        graph = graph_of(name, xs)
        signature, start = signature_of(dim or xs[0].type.plain), graph.take_keyed(values)
        return graph.append(signature, [*[x.at for x in xs], *range(start, start + len(numbers))])

    return record


def _tensor_function(name: str, formula: Callable) -> Callable[..., Expression]:
    """Return a function that adds a random tensor to the graph, given a shape, a batch size and plain numbers."""
    record = random_node(name, formula)
    return lambda dims, batch_size, *numbers: record(
        (), *numbers, dim=Dim.of(checked_dims(name, dims), checked_batch(name, batch_size))
    )


_normal = _tensor_function("random_normal", lambda seed, count, a, b: a + b * f.normal(seed, count, f.position))
_uniform = _tensor_function("random_uniform", lambda seed, count, a, b: a + b * f.uniform(seed, count, f.position))
_bernoulli = _tensor_function(
    "random_bernoulli", lambda seed, count, a, b: f.where(f.uniform(seed, count, f.position) < a, b, 0)
)
_noise = random_node("noise", lambda x, seed, count, stddev: x + stddev * f.normal(seed, count, f.position))


def _exponential(uniform):
    """Return -log(uniform). `uniform` is a multiple of 2^-24 below 1; 0 counts as 2^-25, because log(0) is infinite."""
    return -f.log(f.where(uniform > 0, uniform, 2.0**-25))


_gumbel = _tensor_function(
    "random_gumbel", lambda seed, count, a, b: a - b * f.log(_exponential(f.uniform(seed, count, f.position)))
)


def _not_negative(name: str, argument: str, value: Number) -> float:
    number = finite(name, argument, value)
    if number < 0:
        raise ArgumentError(f"{name}: {argument} must not be negative, got {number}")
    return number


def checked_probability(name: str, p: Number, interval: str = "[0, 1)") -> float:
    """Return p as a float; raise an error unless it is in `interval`."""
    number = p if isinstance(p, float) else finite(name, "p", p)
    if not 0 <= number <= 1 or (number == 1 and interval != "[0, 1]"):
        raise ArgumentError(f"{name}: p must be in {interval}, got {number}")
    return number


def _random_op(expected_value: Callable, *sample_arguments: str) -> Callable[[Function], Function]:
    """Return a decorator that makes a random op. Tests expect `expected_value` of `sample_arguments` everywhere."""
    shapes = "dim=(1,)", "dim=(17,)", "dim=(5,3) batch_size=2", "dim=(2,1,4) batch_size=3"
    return recorded(
        reference=lambda dim, batch_size=1, **numbers: np.full((*dim, batch_size), expected_value(**numbers)),
        whole_batch=True,
        random=True,
        differentiable=False,
        samples="; ".join(map(" ".join, zip(shapes, sample_arguments))),
    )


_SAMPLE_VALUES = 2.0, -1.5, 0.3, 1.0  # tests draw without spread, so every element is one of these


@_random_op(lambda mean, stddev: mean, *[f"mean={mean} stddev=0" for mean in _SAMPLE_VALUES])
def random_normal(dim: Dims, mean: Number = 0.0, stddev: Number = 1.0, batch_size: Index = 1) -> Expression:
    """A tensor of independent, normally distributed numbers.

    `stddev` is the standard deviation, at least 0. Each batch element has different numbers.

    Source: Box and Muller, "A Note on the Generation of Random Normal Deviates", 1958.

    >>> random_normal((2, 3), batch_size=4).dim()
    ((2, 3), 4)
    """
    numbers = finite("random_normal", "mean", mean), _not_negative("random_normal", "stddev", stddev)
    return _normal(dim, batch_size, *numbers)


@_random_op(lambda left, right: left, *[f"left={left} right={left}" for left in _SAMPLE_VALUES])
def random_uniform(dim: Dims, left: Number, right: Number, batch_size: Index = 1) -> Expression:
    """A tensor of independent numbers, uniformly distributed between `left` and `right`.

    Each batch element has different numbers. If left is larger than right, ArgumentError is raised.

    >>> y = random_uniform(100, 2.0, 3.0).npvalue()
    >>> bool(y.min() >= 2 and y.max() <= 3)
    True
    """
    low, high = finite("random_uniform", "left", left), finite("random_uniform", "right", right)
    if low > high:
        raise ArgumentError(f"random_uniform: left is {low}, which is larger than right, {high}")
    return _uniform(dim, batch_size, low, finite("random_uniform", "right - left", high - low))


@_random_op(lambda p, scale=1.0: scale if p else 0.0, "p=1.0", "p=1.0 scale=-1.5", "p=0.0 scale=2.0", "p=1.0 scale=0.3")
def random_bernoulli(dim: Dims, p: Number, scale: Number = 1.0, batch_size: Index = 1) -> Expression:
    """A tensor of independent numbers, each `scale` with probability p and 0 otherwise.

    p is in [0, 1]. Each batch element has different numbers.

    >>> random_bernoulli(3, 1.0, scale=2.0).value()
    [2.0, 2.0, 2.0]
    """
    probability = checked_probability("random_bernoulli", p, "[0, 1]")
    return _bernoulli(dim, batch_size, probability, finite("random_bernoulli", "scale", scale))


@_random_op(lambda mu, beta: mu, *[f"mu={mu} beta=0.0" for mu in _SAMPLE_VALUES])
def random_gumbel(dim: Dims, mu: Number = 0.0, beta: Number = 1.0, batch_size: Index = 1) -> Expression:
    """A tensor of independent numbers with the Gumbel distribution, mu - beta log(-log(u)) for u uniform in (0, 1).

    mu is the location. The scale beta must not be negative. Each batch element has different numbers.

    >>> random_gumbel((2, 3), batch_size=4).dim()
    ((2, 3), 4)
    """
    return _gumbel(dim, batch_size, finite("random_gumbel", "mu", mu), _not_negative("random_gumbel", "beta", beta))


@recorded(
    reference=lambda x, stddev: x, random=True, samples="5 stddev=0.0; 17*4 stddev=0.0; 1*2 stddev=0.0; 3x4 stddev=0.0"
)
def noise(x: Expression, stddev: Number) -> Expression:
    """x plus independent, normally distributed numbers with mean 0 and standard deviation `stddev`.

    >>> noise(inputVector([1, 2]), 0.0).value()
    [1.0, 2.0]
    """
    return _noise((x,), _not_negative("noise", "stddev", stddev))


def _dropout_function(name: str, position: Symbol) -> Callable[..., Expression]:
    """Return a function of [x], p and 1 / (1 - p) that adds a dropout node to the graph.

    If `position` is `formula.position`, elements are dropped independently; if `formula.origin`, all or none.
    """
    return random_node(
        name, lambda x, seed, count, p, scale: f.where(f.uniform(seed, count, position) < p, 0, x * scale)
    )


_dropout = _dropout_function("dropout", f.position)
_block_dropout = _dropout_function("block_dropout", f.origin)


_DROPOUT_OP_FIELDS: dict[str, Any] = {
    "reference": lambda x, p: x,
    "random": True,
    "samples": "5 p=0.0; 17*4 p=0.0; 1*2 p=0.0; 3x4*3 p=0.0",
}


@recorded(**_DROPOUT_OP_FIELDS)
def dropout(x: Expression, p: Number) -> Expression:
    """Set each element to zero with probability p, independently; scale the others by 1 / (1 - p). 0 <= p < 1.

    Use it in training only.

    Source: Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov, "Dropout", 2014.

    >>> dropout(inputVector([1, 2]), 0.0).value()
    [1.0, 2.0]
    """
    p = checked_probability("dropout", p)
    return _dropout([x], p, 1 / (1 - p))


@recorded(**_DROPOUT_OP_FIELDS)
def block_dropout(x: Expression, p: Number) -> Expression:
    """Set all of x, with its whole batch, to zero with probability p; otherwise scale it by 1 / (1 - p).

    >>> block_dropout(inputVector([1, 2]), 0.0).value()
    [1.0, 2.0]
    """
    p = checked_probability("block_dropout", p)
    return _block_dropout([x], p, 1 / (1 - p))


@recorded(
    reference=lambda x, d, p: x,
    random=True,
    samples="5 d=0 p=0.0; 17*4 d=0 p=0.0; 1*2 d=0 p=0.0; 3x4*3 d=1 p=0.0; 2x3x4*2 d=1 p=0.0; 2x3x2x3 d=2 p=0.0",
)
def dropout_dim(x: Expression, d: Index, p: Number) -> Expression:
    """Dropout with one random decision for all elements along dimension d. With d = 0, it drops columns of a matrix.

    With probability p these elements become zero, otherwise they are scaled by 1 / (1 - p).

    Source: Gal and Ghahramani, "A Theoretically Grounded Application of Dropout in Recurrent Neural Networks", 2016.

    >>> dropout_dim(inputTensor([[1, 2], [3, 4]]), 0, 0.0).npvalue()
    array([[1., 2.],
           [3., 4.]])
    """
    dim, d = shape_along("dropout_dim", x, d)
    return _apply_mask("dropout_dim", x, (*dim.dims[:d], 1, *dim.dims[d + 1 :]), dim.batch, p)


@recorded(**_DROPOUT_OP_FIELDS)
def dropout_batch(x: Expression, p: Number) -> Expression:
    """Set each whole batch element to zero with probability p; scale the others by 1 / (1 - p).

    >>> dropout_batch(inputVector([1, 2]), 0.0).value()
    [1.0, 2.0]
    """
    return _apply_mask("dropout_batch", x, (1,), shape_of("dropout_batch", x).batch, p)


def _apply_mask(name: str, x: Expression, dims: tuple[int, ...], batch: int, p: Number) -> Expression:
    """Multiply x by a mask of the shape (dims, batch), whose elements are 0 with probability p, else 1 / (1 - p)."""
    p = checked_probability(name, p)
    return cmult(x, random_bernoulli(dims, 1 - p, 1 / (1 - p), batch))


__all__ = [
    "block_dropout", "dropout", "dropout_batch", "dropout_dim", "noise", "random_bernoulli", "random_gumbel",
    "random_normal", "random_uniform",
]  # fmt: skip
