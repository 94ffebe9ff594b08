"""Random tensors and noise.

The numbers are drawn in the forward pass from the node's *key*, two integers in the graph's buffer of input values:
`seed`, and `count`, how many random nodes were made before. So they do not depend on how nodes are batched.
"""

from __future__ import annotations

from dynet_kernels.derivative import gradients

from ..declare import *


def random_node(name: str, formula: Callable) -> Callable[..., Expression]:
    """Return a function that adds a random node with a new key to the graph.

    Its arguments are the node's operands, the plain numbers that the formula reads, and the shape, by default that of
    the first operand. The arguments of `formula`, for one element, are x, if there is an operand, the key (seed, count)
    and plain numbers.
    """
    parsed = Formula.of(formula)
    operands = parsed.names.count("x")
    numbers = parsed.names[operands:]
    add_rules(name, parsed.names, parsed, gradients(parsed, ["x"]), numbers=numbers)

    @functools.cache
    def signature_of(dim: Dim) -> Signature:
        views = [View(SELF), *map(View, range(operands)), *number_views(len(numbers))]
        return computed(name, dim, (dim.total,), views, name=name)

    def record(xs: Sequence[Expression], *given: float, dim: Dim | None = None) -> Expression:
        graph = graph_of(name, xs)
        signature, start = signature_of(dim or xs[0].type.plain), graph.take_keyed(given)
        return graph.append(signature, [*[x.at for x in xs], *range(start, start + len(numbers))])

    return record


def _distribution(name: str, formula: Callable) -> Callable[..., Expression]:
    """Return a function of a shape and of plain numbers that adds a random tensor to the graph."""
    record = random_node(name, formula)
    return lambda dims, batch_size, *numbers: record(
        (), *numbers, dim=Dim.of(checked_dims(name, dims), checked_batch(name, batch_size))
    )


_normal = _distribution("random_normal", lambda seed, count, a, b: a + b * f.normal(seed, count, f.position))
_uniform = _distribution("random_uniform", lambda seed, count, a, b: a + b * f.uniform(seed, count, f.position))
_bernoulli = _distribution(
    "random_bernoulli", lambda seed, count, a, b: f.where(f.uniform(seed, count, f.position) < a, b, 0)
)
_noise = random_node("noise", lambda x, seed, count, stddev: x + stddev * f.normal(seed, count, f.position))


def _exponential(uniform):
    """Return -log(uniform) for a multiple of 2^-24 in [0, 1); 0 counts as 2^-25, because log(0) is infinite."""
    return -f.log(f.where(uniform > 0, uniform, 2.0**-25))


_gumbel = _distribution(
    "random_gumbel",
    lambda seed, count, a, b: a - b * f.log(_exponential(f.uniform(seed, count, f.position))),
)


def _not_negative(name: str, argument: str, value: Number) -> float:
    number = finite(name, argument, value)
    if number < 0:
        raise ArgumentError(f"{name}: {argument} must not be negative, got {number}")
    return number


def checked_probability(name: str, p: Number, allowed: str = "[0, 1)") -> float:
    """Return p as a float; raise an error unless it is in `allowed`."""
    number = p if isinstance(p, float) else finite(name, "p", p)
    if not 0 <= number <= 1 or (number == 1 and allowed != "[0, 1]"):
        raise ArgumentError(f"{name}: p must be in {allowed}, got {number}")
    return number


def _drawn(value: Callable, *numbers: str) -> Callable[[Function], Function]:
    """Return a decorator that makes an op of a function which returns a random tensor.

    `numbers` are those of the test calls, in which only the number that `value` returns is possible.
    """
    shapes = "dim=(1,)", "dim=(17,)", "dim=(5,3) batch_size=2", "dim=(2,1,4) batch_size=3"
    return recorded(
        reference=lambda dim, batch_size=1, **numbers: np.full((*dim, batch_size), value(**numbers)),
        whole_batch=True,
        random=True,
        differentiable=False,
        samples=samples("; ".join(map(" ".join, zip(shapes, numbers)))),
    )


_EXPECTED = 2.0, -1.5, 0.3, 1.0


@_drawn(lambda mean, stddev: mean, *[f"mean={mean} stddev=0" for mean in _EXPECTED])
def random_normal(dim: Dims, mean: Number = 0.0, stddev: Number = 1.0, batch_size: Index = 1) -> Expression:
    """A tensor of independent, normally distributed numbers.

    `stddev` is the standard deviation, at least 0. Each batch element has different numbers.

    Source: Box and Muller, "A Note on the Generation of Random Normal Deviates", 1958.

    >>> random_normal((2, 3), batch_size=4).dim()
    ((2, 3), 4)
    """
    numbers = finite("random_normal", "mean", mean), _not_negative("random_normal", "stddev", stddev)
    return _normal(dim, batch_size, *numbers)


@_drawn(lambda left, right: left, *[f"left={left} right={left}" for left in _EXPECTED])
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


@_drawn(lambda p, scale=1.0: scale if p else 0.0, "p=1.0", "p=1.0 scale=-1.5", "p=0.0 scale=2.0", "p=1.0 scale=0.3")
def random_bernoulli(dim: Dims, p: Number, scale: Number = 1.0, batch_size: Index = 1) -> Expression:
    """A tensor of independent numbers, each `scale` with probability p and 0 otherwise.

    p is in [0, 1]. Each batch element has different numbers.

    >>> random_bernoulli(3, 1.0, scale=2.0).value()
    [2.0, 2.0, 2.0]
    """
    probability = checked_probability("random_bernoulli", p, "[0, 1]")
    return _bernoulli(dim, batch_size, probability, finite("random_bernoulli", "scale", scale))


@_drawn(lambda mu, beta: mu, *[f"mu={mu} beta=0.0" for mu in _EXPECTED])
def random_gumbel(dim: Dims, mu: Number = 0.0, beta: Number = 1.0, batch_size: Index = 1) -> Expression:
    """A tensor of independent numbers with the Gumbel distribution, mu - beta log(-log(u)) for u uniform in (0, 1).

    mu is the location. The scale beta must not be negative. Each batch element has different numbers.

    >>> random_gumbel((2, 3), batch_size=4).dim()
    ((2, 3), 4)
    """
    return _gumbel(dim, batch_size, finite("random_gumbel", "mu", mu), _not_negative("random_gumbel", "beta", beta))


@recorded(
    reference=lambda x, stddev: x,
    random=True,
    samples="5 stddev=0.0; 17*4 stddev=0.0; 1*2 stddev=0.0; 3x4 stddev=0.0",
)
def noise(x: Expression, stddev: Number) -> Expression:
    """x plus independent, normally distributed numbers with mean 0 and standard deviation `stddev`.

    >>> noise(inputVector([1, 2]), 0.0).value()
    [1.0, 2.0]
    """
    return _noise((x,), _not_negative("noise", "stddev", stddev))


__all__ = ["noise", "random_bernoulli", "random_gumbel", "random_normal", "random_uniform"]
