"""Cases of elementwise functions, powers, extremes, and ops that change gradients or draw random values."""

from op_cases import add, listed, many, named, one

SHAPES = (one(4), one(3, 2), one(2, 3, 2), many(4), many(3, 2))
DOMAINS = {
    "erf": (-3.0, 3.0),
    "sin": (-9.0, 9.0),
    "cos": (-9.0, 9.0),
    "tan": (-1.3, 1.3),
    "asin": (-0.9, 0.9),
    "acos": (-0.9, 0.9),
    "atan": (-4.0, 4.0),
    "sinh": (-3.0, 3.0),
    "cosh": (-3.0, 3.0),
    "asinh": (-3.0, 3.0),
    "acosh": (1.2, 4.0),
    "atanh": (-0.9, 0.9),
    "elu": (-3.0, 3.0),
    "selu": (-3.0, 3.0),
    "silu": (-3.0, 3.0),
    "log_sigmoid": (-9.0, 9.0),
    "flip_gradient": (-2.0, 2.0),
    "scale_gradient": (-2.0, 2.0),
}
for x in SHAPES:
    for op, (low, high) in DOMAINS.items():
        add(op, named(op), x, low=low, high=high)
    add("sqrt", named("sqrt"), x, low=0.2, high=3.0)
    add("lgamma", named("lgamma"), x, low=0.2, high=6.0)
    add("elu, alpha 0.5", lambda dy, x: dy.elu(x, 0.5), x)
    add("silu, beta 2", lambda dy, x: dy.nobackprop(dy.silu(x, 2.0)), x)
    add("silu, beta 2, and its gradient", lambda dy, x: dy.silu(x, 2.0), x, defect="the gradient forgets beta")
    add("scale_gradient by -3", lambda dy, x: dy.scale_gradient(x, -3.0), x)
    add("noise of deviation 0", lambda dy, x: dy.noise(x, 0.0), x)
    add("x ** 2", lambda dy, x: x**2, x)
    add("x ** 3", lambda dy, x: x**3, x)
    add("x ** 1.5", lambda dy, x: x**1.5, x, low=0.2, high=3.0)
    add("pow, negative base", lambda dy, x: dy.nobackprop(dy.pow(x, dy.scalarInput(3.0))), x)
    add("pow", lambda dy, x, y: dy.pow(x, y), x, one(1), low=0.2, high=3.0)

for op in ("floor", "ceil", "round"):
    # DyNet 2.1 picks a gradient at random: see tensor_defects.py. Only the values are compared.
    for x in SHAPES:
        add(op, lambda dy, x, op=op: dy.nobackprop(getattr(dy, op)(x, "zero_gradient")), x, low=-4.0, high=4.0)

for x in (one(4), one(1), many(4)):
    add("softsign", named("softsign"), x)
for x, y in [(one(4), one(4)), (one(3, 2), one(3, 2)), (many(4), many(4)), (many(3, 2), many(3, 2))]:
    add("bmin", named("bmin"), x, y)
    add("bmax", named("bmax"), x, y)
    add("logsumexp", listed("logsumexp"), x, y)
add("bmax of equals", lambda dy, x, y: dy.bmax(dy.rectify(x - 9.0), dy.rectify(y - 9.0) + x - x), one(4), one(4))
add("emax", listed("emax"), one(4), one(4))
add("emax", listed("emax"), one(3, 2), one(3, 2), one(3, 2))
add("logsumexp", listed("logsumexp"), one(4), one(4), one(4))
add("logsumexp of one", listed("logsumexp"), one(4))
add("colwise_add", named("colwise_add"), one(3, 4), one(3))
add("colwise_add", named("colwise_add"), one(1, 4), one(1))

for x in (one(4), many(4), many(3, 2)):
    add("dropout_batch at rate 0", lambda dy, x: dy.dropout_batch(x, 0.0), x)
add("block_dropout at rate 0", lambda dy, x: dy.block_dropout(x, 0.0), one(3, 2))
for d in (0, 1):
    add(f"dropout_dim {d} at rate 0", lambda dy, x, d=d: dy.dropout_dim(x, d, 0.0), one(3, 2))
    add(f"dropout_dim {d} at rate 0", lambda dy, x, d=d: dy.dropout_dim(x, d, 0.0), many(3, 2))

add("one_hot", lambda dy, x: dy.cmult(x, dy.one_hot(4, 2)), one(4))
add("one_hot, batched", lambda dy, x: dy.cmult(x, dy.one_hot(4, [2, 0, 2])), many(4))
add(
    "sparse_inputTensor",
    lambda dy, x: dy.cmult(x, dy.sparse_inputTensor(([0, 1, 0], [1, 0, 1]), [5, 6, 7], (3, 2), defval=0.5)),
    one(3, 2),
)
add(
    "sparse_inputTensor, batched",
    lambda dy, x: dy.cmult(x, dy.sparse_inputTensor(([0, 1, 3], [1, 0, 2]), [5, 6, 7], (4, 3), batched=True)),
    many(4),
)


def stored(dy, x, *arguments):
    import numpy as np

    return dy.cmult(x, dy.inputTensorTranspose(np.arange(12.0), *arguments))


add("inputTensorTranspose", lambda dy, x: stored(dy, x, (3, 4)), one(3, 4))
add("inputTensorTranspose, batched", lambda dy, x: stored(dy, x, (4,), 3), many(4))
add("random_bernoulli of probability 1", lambda dy, x: dy.cmult(x, dy.random_bernoulli((4,), 1.0, 2.0)), one(4))
