"""Calls of ops with several operands, of inputs and of builders, in the form of `shape_calls`."""

import functools
import itertools

from shape_calls import LISTED, SCALARS, VECTORS, add, batched, named, of_list

TWO = list(itertools.product(batched(*SCALARS, *VECTORS, (1, 4), (4, 4), (4, 4, 1), (4, 2), (2, 2, 2)), repeat=2))
RANKS = [(1,), (1, 1), (4,), (4, 1), (4, 1, 1), (1, 4), (4, 4)]
FAMILIES = [SCALARS, VECTORS, [(1, 4), (1, 4, 1)], [(4, 4), (4, 4, 1)], [(2, 2, 2), (2, 2, 2, 1)]]
ALIKE = [xs for family in FAMILIES for xs in itertools.product(batched(*family), repeat=3)]
"""Three operands whose dimensions differ in trailing 1s at most."""

OF_TWO = {
    "x + y": lambda dy, x, y: x + y,
    "x - y": lambda dy, x, y: x - y,
    "x * y": lambda dy, x, y: x * y,
    "x / y": lambda dy, x, y: x / y,
    "x ** y": lambda dy, x, y: x**y,
    **{
        op: named(op)
        for op in """
            cmult cdiv colwise_add bmax bmin pow dot_product squared_distance l1_distance huber_distance
            binary_log_loss pairwise_rank_loss circ_conv circ_corr constrained_softmax trace_of_product weight_norm
            filter1d_narrow contract3d_1d
        """.split()
    },
}
OF_LISTS = {
    **{op: of_list(op) for op in LISTED},
    "concatenate, d = 1": of_list("concatenate", d=1),
}
for op, build in (OF_TWO | OF_LISTS).items():
    for operands in TWO:
        add(op, build, *operands)
for op, build in OF_LISTS.items():
    for operands in ALIKE:
        add(op, build, *operands)
for operands in ALIKE:
    add("layer_norm", named("layer_norm"), *operands)
for operands in itertools.product(batched(*RANKS), repeat=3):
    add("affine_transform", of_list("affine_transform"), *operands)
for d, operands in itertools.product((2, 3), [*TWO, *ALIKE]):
    if len(operands[0].dims) >= d:  # otherwise DyNet 2.1 reads sizes from uninitialized memory
        add("concatenate", of_list("concatenate", d=d), *operands, called=f"concatenate, d = {d}")


def shapes(*sizes, batches=(1, 2)):
    """All combinations of dimensions for each operand, and of batch sizes."""
    return itertools.product(*[batched(*given, batches=batches) for given in sizes])


# ------------------------------------------------------------------------------- of several whose shapes must fit

WIDE = [(3, 4), (3, 4, 1)]
for operands in shapes([(3,), (3, 1), (3, 1, 1), (3, 2), (3, 2, 1), (1,), (1, 2)], WIDE, [*VECTORS, (4, 2), (4, 2, 1)]):
    add("affine_transform", of_list("affine_transform"), *operands)
for W, x in shapes([(3, 4), (3, 4, 1), (1, 4, 1)], [*VECTORS, (4, 2), (4, 2, 1)]):
    add("x * y", lambda dy, W, x: W * x, W, x)
BIASES = [(3,), (3, 1), (3, 2)]
for operands in shapes(BIASES, [(3, 4)], [(4,), (4, 1), (4, 2)], [(3, 2)], [(2,), (2, 1), (2, 2)]):
    add("affine_transform", of_list("affine_transform"), *operands)

for x, y in shapes([(2, 3, 4), (2, 3, 4, 1), (2, 3, 1), (2, 3)], [*SCALARS, *VECTORS]):
    add("contract3d_1d", named("contract3d_1d"), x, y)
for operands in shapes([(2, 3, 4), (2, 3, 4, 1)], VECTORS, [(2, 3), (2, 3, 1), (6,)]):
    add("contract3d_1d_bias", named("contract3d_1d_bias"), *operands)
CUBE, THREE = [(2, 3, 4), (2, 3, 4, 1)], [(3,), (3, 1), (3, 1, 1)]
for operands in shapes(CUBE, VECTORS, THREE):
    add("contract3d_1d_1d", named("contract3d_1d_1d"), *operands)
for operands in shapes(CUBE, VECTORS, THREE, [(2,), (2, 1)]):
    add("contract3d_1d_1d_bias", named("contract3d_1d_1d_bias"), *operands)
FILTERS = [(3, 4, 2), (3, 4, 1), (3, 4), (3, 1), (3,), (3, 1, 1), (3, 2, 2, 1), (1, 2, 2), (1, 2)]
for x, y in shapes([(3,), (3, 1), (3, 4), (3, 4, 1), (1, 4)], FILTERS):
    add("filter1d_narrow", named("filter1d_narrow"), x, y)
IMAGES = [(4,), (4, 1), (4, 2), (4, 2, 1), (4, 2, 2), (4, 2, 2, 1), (4, 2, 1, 1)]
KERNELS = [(2,), (2, 1), (2, 1, 1), (2, 1, 1, 1), (2, 1, 2), (2, 1, 2, 1), (2, 2, 1, 3), (2, 1, 2, 3)]
for x, f in shapes(IMAGES, KERNELS):
    add("conv2d", lambda dy, x, f: dy.conv2d(x, f, [1, 1]), x, f)
    add("conv2d, not valid", lambda dy, x, f: dy.conv2d(x, f, [1, 1], False), x, f)
for operands in shapes(IMAGES, KERNELS, [(1,), (1, 1), (3,), (3, 1), (1, 3)]):
    add("conv2d_bias", lambda dy, x, f, b: dy.conv2d_bias(x, f, b, [1, 1]), *operands)
HIDDEN = [(2,), (2, 1), (2, 1, 1)]
GATES = [(8,), (8, 1), (8, 1, 1)]
for c, gates in shapes(HIDDEN, GATES):
    add("vanilla_lstm_c", named("vanilla_lstm_c"), c, gates)
    add("vanilla_lstm_h", named("vanilla_lstm_h"), c, gates)
LSTM = ([*SCALARS, *THREE], HIDDEN, [(8, 3), (8, 3, 1), (8, 1), (8,)], [(8, 2), (8, 2, 1)], GATES)
for operands in shapes(*LSTM, batches=(1,)):
    add("vanilla_lstm_gates", named("vanilla_lstm_gates"), *operands)
    add("vanilla_lstm_gates_concat", lambda dy, x, *rest: dy.vanilla_lstm_gates_concat([x], *rest), *operands)
for operands in shapes(THREE[:2], HIDDEN[:2], [(8, 3)], [(8, 2)], GATES[:1], THREE[:2], HIDDEN[:2], batches=(1,)):
    add("vanilla_lstm_gates_dropout", named("vanilla_lstm_gates_dropout"), *operands)
    add(
        "vanilla_lstm_gates_dropout_concat",
        lambda dy, x, *rest: dy.vanilla_lstm_gates_dropout_concat([x], *rest),
        *operands,
    )

# ---------------------------------------------------------------------------- parameters, inputs, networks

COLLECTIONS = []
"""DyNet 2.1 frees parameters with their collection, though a network needs them."""
ALL = [*SCALARS, *VECTORS, (1, 4), (4, 4), (4, 4, 1), (2, 1, 4), (2, 2, 2, 1)]


def collection(dy):
    COLLECTIONS.append(dy.ParameterCollection())
    return COLLECTIONS[-1]


def parameter(dy, dims):
    return collection(dy).add_parameters(dims, init=dy.ConstInitializer(0.25))


def table(dy, dims):
    return collection(dy).add_lookup_parameters((3, *dims), init=dy.ConstInitializer(0.25))


for dims in ALL:
    given = {
        "parameter": lambda dy, dims=dims: dy.parameter(parameter(dy, dims)),
        "parameter, alone": lambda dy, dims=dims: dy.esum([parameter(dy, dims)]),
        "const_parameter": lambda dy, dims=dims: dy.const_parameter(parameter(dy, dims)),
        "lookup": lambda dy, dims=dims: dy.lookup(table(dy, dims), 1),
        "lookup_batch": lambda dy, dims=dims: dy.lookup_batch(table(dy, dims), [1, 2]),
        "lookup_batch of one": lambda dy, dims=dims: dy.lookup_batch(table(dy, dims), [1]),
        "inputTensor": lambda dy, dims=dims: dy.inputTensor(counted(dims)),
        "inputTensor, batched": lambda dy, dims=dims: dy.inputTensor(counted(dims), batched=True),
        "inputTensor of a list": lambda dy, dims=dims: dy.inputTensor(counted(dims).tolist()),
        "inputTensor of arrays": lambda dy, dims=dims: dy.inputTensor([counted(dims)] * 2),
        "sparse_inputTensor": lambda dy, dims=dims: dy.sparse_inputTensor([[0]] * len(dims), [2.0], dims),
        "sparse_inputTensor, batched": lambda dy, dims=dims: dy.sparse_inputTensor(
            [[0]] * len(dims), [2.0], dims, batched=True
        ),
    }
    for op in ("ones", "zeros", "zeroes"):
        given[op] = lambda dy, op=op, dims=dims: getattr(dy, op)(dims)
        given[f"{op}, batched"] = lambda dy, op=op, dims=dims: getattr(dy, op)(dims, batch_size=2)
    given["constant"] = lambda dy, dims=dims: dy.constant(dims, 2.5)
    given["constant, batched"] = lambda dy, dims=dims: dy.constant(dims, 2.5, batch_size=2)
    for name, build in given.items():
        add(name.split(",")[0], build, called=f"{name} {dims}")
    drawn = {
        "random_normal": lambda dy, dims=dims: dy.random_normal(dims),
        "random_uniform": lambda dy, dims=dims: dy.random_uniform(dims, 0.0, 1.0),
        "random_bernoulli": lambda dy, dims=dims: dy.random_bernoulli(dims, 0.5),
        "random_gumbel": lambda dy, dims=dims: dy.random_gumbel(dims),
    }
    for op, build in drawn.items():
        add(op, build, drawn=True, called=f"{op} {dims}")
for name, build in {
    "inputVector": lambda dy: dy.inputVector([1.0]),
    "scalarInput": lambda dy: dy.scalarInput(1.0),
    "vecInput": lambda dy: dy.vecInput(1),
    "one_hot": lambda dy: dy.one_hot(4, 1),
    "one_hot of one": lambda dy: dy.one_hot(1, 0),
    "one_hot, batched": lambda dy: dy.one_hot(4, [1]),
    "one_hot of two, batched": lambda dy: dy.one_hot(4, [1, 2]),
}.items():
    add("inputs", build, called=name)


def counted(dims):
    import numpy as np

    return np.arange(1.0, 1.0 + np.prod(dims)).reshape(dims)


for W, x in itertools.product([(3, 4), (3, 4, 1), (3, 1), (3,), (1, 4), (1,)], batched(*VECTORS, (1,), (1, 1), (4, 2))):
    add("x * y", lambda dy, x, W=W: parameter(dy, W) * x, x, called=f"parameter {W} *")
    for b in [(3,), (3, 1), (1,), (3, 2)]:
        add("affine_transform", lambda dy, x, W=W, b=b: dy.affine_transform([parameter(dy, b), parameter(dy, W), x]),
            x, called=f"affine_transform, parameters {b} {W}")  # fmt: skip

NETWORKS = """
    SimpleRNNBuilder GRUBuilder VanillaLSTMBuilder CompactVanillaLSTMBuilder CoupledLSTMBuilder FastLSTMBuilder
""".split()


def output(dy, network, x):
    dy.reset_random_seed(1)
    return getattr(dy, network)(2, 4, 3, collection(dy)).initial_state().add_inputs([x, x])[1].output()


def both_ways(dy, x):
    dy.reset_random_seed(1)
    network = dy.BiRNNBuilder(1, 4, 4, collection(dy), dy.VanillaLSTMBuilder)
    return network.transduce([x, x])[0]


def softmax_loss(dy, x):
    dy.reset_random_seed(1)
    return dy.StandardSoftmaxBuilder(4, 3, collection(dy)).neg_log_softmax(x, 1)


def softmax_scores(dy, x):
    dy.reset_random_seed(1)
    return dy.StandardSoftmaxBuilder(4, 3, collection(dy)).full_log_distribution(x)


def started(dy, h, network, dropout=0.0):
    """The output of a network with a given initial state."""
    dy.reset_random_seed(1)
    builder = getattr(dy, network)(2, 4, 3, collection(dy))
    if dropout:
        builder.set_dropout(dropout)
    x, values = dy.inputVector([1.0, 2.0, 3.0, 4.0]), 2 if "LSTM" in network else 1
    return builder.initial_state([h] * 2 * values).add_inputs([x, x])[1].output()


for x in batched(*VECTORS, (1, 4), (4, 2)):
    for network in NETWORKS:
        add("networks", lambda dy, x, network=network: output(dy, network, x), x, called=network)
    add("networks", both_ways, x, called="BiRNNBuilder")
    add("softmax builders", softmax_loss, x, called="neg_log_softmax")
    add("softmax builders", softmax_scores, x, called="full_log_distribution")
for network, h in itertools.product(NETWORKS, batched(*THREE, (1, 3))):
    plain = functools.partial(started, network=network)
    add("networks", plain, h, called=f"{network}, initial_state")
    dropping = functools.partial(started, network=network, dropout=0.5)
    add("networks", dropping, h, drawn=True, called=f"{network}, initial_state and dropout")
