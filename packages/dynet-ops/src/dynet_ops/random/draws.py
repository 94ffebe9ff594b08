"""Random tensors and noise.

The numbers are drawn in the forward pass. They are computed from the *key* of their node. It consists of two integers
in the graph's buffer of input values: `seed`, the random seed, and `count`, how many random nodes were made before. So
a node draws the same numbers whether or not it runs in a batch with other nodes.
"""

from __future__ import annotations

from dynet_kernels.recorder.words import KEY

from ..declare import *


def keyed(graph: PinnedGraph, *numbers: Number) -> list[int]:
    """Make a key for a new random node, and store it and `numbers` in the input buffer of `graph`.

    Return the positions of seed, count and each number in this buffer. The caller makes them attributes of the node.
    """
    start = graph.take_keyed(numbers)
    return [*range(start, start + len(KEY) + len(numbers))]


def _distribution(name: str, formula: Callable) -> Callable[..., Expression]:
    """Return a function that adds a tensor of random numbers to the graph.

    Args:
        name: the name of the op and of its kernel.
        formula: a function whose body is the formula of one drawn number. Its arguments are the node's key (seed,
            count) and two plain numbers a and b, the parameters of the distribution.
    """
    KERNELS.add(name, Rule(("y", *KEY, "a", "b"), {"y": formula}, numbers=(*KEY, "a", "b")))

    @functools.cache
    def signature_of(dim: Dim) -> Signature:
        return computed(name, dim, (dim.total,), [View(SELF), *number_views(4)], name=name)

    def record(dims, batch_size, a: float, b: float) -> Expression:
        whole = Dim.of(checked_dims(name, dims), checked_batch(name, batch_size))
        graph = pinned()
        return append(graph, signature_of(whole), keyed(graph, a, b))

    return record


_normal = _distribution("random_normal", lambda seed, count, a, b: a + b * f.normal(seed, count, f.position))
_uniform = _distribution("random_uniform", lambda seed, count, a, b: a + b * f.uniform(seed, count, f.position))
_bernoulli = _distribution(
    "random_bernoulli", lambda seed, count, a, b: f.where(f.uniform(seed, count, f.position) < a, b, 0)
)


def _exponential(uniform):
    """Return the formula -log(uniform). It has an exponential distribution if `uniform` is a uniform number in [0, 1).

    `uniform` is one of the 2^24 multiples of 2^-24 in this range. If it is 0, it is replaced by 2^-25, because log(0)
    would be infinite.
    """
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


def _drawn(value: Callable, *numbers: str) -> Callable[[Function], Function]:
    """Return a decorator that makes an op of a function which returns a random tensor.

    Tests can compare a random number with an expected one only if no other number is possible, for example because the
    standard deviation is 0. So all test calls are of this kind.

    Args:
        value: returns the expected number, from the op's arguments in a test call.
        numbers: the numbers in each of four test calls.
    """
    return recorded(
        reference=lambda dim, batch_size=1, **numbers: np.full((*dim, batch_size), value(**numbers)),
        whole_batch=True,
        random=True,
        differentiable=False,
        samples=samples(
            "dim=(1,) {}; dim=(17,) {}; dim=(5,3) {} batch_size=2; dim=(2,1,4) {} batch_size=3".format(*numbers)
        ),
    )


@_drawn(
    lambda mean, stddev: mean,
    "mean=2 stddev=0",
    "mean=-1.5 stddev=0",
    "mean=0.3 stddev=0",
    "mean=1 stddev=0",
)
def random_normal(dim: Dims, mean: Number = 0.0, stddev: Number = 1.0, batch_size: Index = 1) -> Expression:
    """A tensor of independent, normally distributed numbers.

    Args:
        dim: the dimensions.
        mean, stddev: mean and standard deviation.
        batch_size: the batch size. Each batch element has different numbers.

    Source: Box and Muller, "A Note on the Generation of Random Normal Deviates", 1958.

    >>> random_normal((2, 3), batch_size=4).dim()
    ((2, 3), 4)
    """
    numbers = finite("random_normal", "mean", mean), _not_negative("random_normal", "stddev", stddev)
    return _normal(dim, batch_size, *numbers)


@_drawn(lambda left, right: left, "left=2 right=2", "left=-1.5 right=-1.5", "left=0.3 right=0.3", "left=1 right=1")
def random_uniform(dim: Dims, left: Number, right: Number, batch_size: Index = 1) -> Expression:
    """A tensor of independent numbers, uniformly distributed between `left` and `right`.

    Args:
        dim: the dimensions.
        left, right: the bounds.
        batch_size: the batch size. Each batch element has different numbers.

    Raises:
        ArgumentError: left is larger than right.

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

    Args:
        dim: the dimensions.
        p: a probability, in [0, 1].
        scale: a plain number.
        batch_size: the batch size. Each batch element has different numbers.

    >>> random_bernoulli(3, 1.0, scale=2.0).value()
    [2.0, 2.0, 2.0]
    """
    probability = finite("random_bernoulli", "p", p)
    if not 0 <= probability <= 1:
        raise ArgumentError(f"random_bernoulli: p must be in [0, 1], got {probability}")
    return _bernoulli(dim, batch_size, probability, finite("random_bernoulli", "scale", scale))


@_drawn(lambda mu, beta: mu, "mu=2.0 beta=0.0", "mu=-1.5 beta=0.0", "mu=0.3 beta=0.0", "mu=1.0 beta=0.0")
def random_gumbel(dim: Dims, mu: Number = 0.0, beta: Number = 1.0, batch_size: Index = 1) -> Expression:
    """A tensor of independent numbers with the Gumbel distribution, mu - beta log(-log(u)) for u uniform in (0, 1).

    Args:
        dim: the dimensions.
        mu, beta: the location and the scale. beta must not be negative.
        batch_size: the batch size. Each batch element has different numbers.

    >>> random_gumbel((2, 3), batch_size=4).dim()
    ((2, 3), 4)
    """
    numbers = finite("random_gumbel", "mu", mu), _not_negative("random_gumbel", "beta", beta)
    return _gumbel(dim, batch_size, *numbers)


# Noise: random numbers that are added to an expression --------------------------------------------------------

KERNELS.add(
    "noise",
    Rule(
        ("y", "x", *KEY, "stddev"),
        {"y": lambda x, seed, count, stddev: x + stddev * f.normal(seed, count, f.position)},
        numbers=(*KEY, "stddev"),
    ),
)
KERNELS.add("noise.dx", Rule(("y", "x"), {"dx": lambda dy: dy}))


@functools.cache
def _noise_signature(dim: Dim) -> Signature:
    return computed("noise", dim, (dim.total,), [View(SELF), View(0), *number_views(3)])


@recorded(
    reference=lambda x, stddev: x,
    random=True,
    samples=samples("5 stddev=0.0; 17*4 stddev=0.0; 1*2 stddev=0.0; 3x4 stddev=0.0"),
)
def noise(x: Expression, stddev: Number) -> Expression:
    """x plus independent, normally distributed numbers with mean 0.

    Args:
        x: any expression.
        stddev: the standard deviation.

    >>> noise(inputVector([1, 2]), 0.0).value()
    [1.0, 2.0]
    """
    graph = graph_of("noise", (x,))
    number = _not_negative("noise", "stddev", stddev)
    return append(graph, _noise_signature(x.type.plain), [x.at, *keyed(graph, number)])


__all__ = ["noise", "random_bernoulli", "random_gumbel", "random_normal", "random_uniform"]
