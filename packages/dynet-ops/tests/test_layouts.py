"""Random shapes: broadcasting, transposing and joining in up to seven dimensions."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import dynet_ops as dy
from dynet_core import renew_cg
from dynet_core.op import OPS, Sample
from dynet_ops.layouts import of_rank
from dynet_ops.testing import Computed, Input, Parameter, check_gradients, check_minibatch, check_value

few = settings(deadline=None, max_examples=60)
sizes = st.sampled_from([1, 1, 2, 3])


@st.composite
def two_shapes(draw):
    """Two shapes that can be broadcast, including shapes of different ranks."""
    pairs = draw(st.lists(st.tuples(sizes, st.booleans(), st.booleans()), min_size=1, max_size=6))
    left = tuple(1 if one else size for size, one, _ in pairs)
    right = tuple(1 if one else size for size, _, one in pairs)
    left, right = (of_rank(shape, 1) if draw(st.booleans()) else shape for shape in (left, right))
    batch = draw(st.integers(1, 3))
    return [(left, batch if draw(st.booleans()) else 1), (right, batch if draw(st.booleans()) else 1)]


@few
@given(
    st.sampled_from(["add", "subtract", "cmult", "cdiv", "pow"]),
    two_shapes(),
    st.sampled_from([Input, Parameter, Computed]),
)
def test_broadcasting(name, shapes, leaf):
    sample = Sample(shapes)
    check_value(OPS[name], sample, leaf)
    check_gradients(OPS[name], sample, [leaf, leaf], [Input, leaf], [leaf, Input])


@few
@given(st.sampled_from(["add", "cmult"]), two_shapes(), st.booleans())
def test_broadcasting_in_a_minibatch(name, shapes, left):
    check_minibatch(OPS[name], Sample(shapes), [left, not left])


@few
@given(st.sampled_from(["esum", "logsumexp"]), two_shapes(), st.integers(0, 2))
def test_lists_of_different_shapes(name, shapes, repeats):
    sample = Sample(shapes + shapes[:1] * repeats, as_list=True)
    check_value(OPS[name], sample)
    check_gradients(OPS[name], sample, [Input] * len(sample.shapes), [Computed] * len(sample.shapes))


@few
@given(st.integers(1, 7).flatmap(lambda rank: st.permutations(range(rank))), st.data())
def test_transposing(order, data):
    shape = tuple(data.draw(st.lists(sizes, min_size=len(order), max_size=len(order))))
    shape = of_rank(shape, 1) if data.draw(st.booleans()) else shape
    sample = Sample([(shape, data.draw(st.integers(1, 2)))], {"dims": tuple(order)})
    check_value(OPS["transpose"], sample)
    check_gradients(OPS["transpose"], sample, [Input], [Computed])


@few
@given(
    st.lists(sizes, min_size=1, max_size=4),
    st.integers(0, 3),
    st.lists(st.integers(1, 5), min_size=1, max_size=4),
    st.data(),
)
def test_joining(dims, d, lengths, data):
    dims += [1] * (d + 1 - len(dims))
    batch = data.draw(st.integers(1, 3))
    shapes = []
    for length in lengths:
        dims[d] = length
        shapes.append((of_rank(tuple(dims), 1), batch if data.draw(st.booleans()) else 1))
    sample = Sample(shapes, {"d": d}, as_list=True)
    if max(len(shape) for shape, _ in shapes) <= d:
        shapes[0] = (shapes[0][0] + (1,) * (d + 1 - len(shapes[0][0])), shapes[0][1])
    check_value(OPS["concatenate"], sample)
    check_gradients(OPS["concatenate"], sample, [Input] * len(shapes), [Computed] * len(shapes))


@few
@given(st.lists(st.integers(1, 4), min_size=1, max_size=5), st.data())
def test_picking(dims, data):
    d = data.draw(st.integers(0, len(dims) - 1))
    v = data.draw(st.integers(0, dims[d] - 1))
    u = data.draw(st.integers(v + 1, dims[d]))
    shape = [(tuple(dims), data.draw(st.integers(1, 3)))]
    for leaf in (Input, Parameter):
        check_value(OPS["pick"], Sample(shape, {"index": v, "dim": d}), leaf)
        check_gradients(OPS["pick"], Sample(shape, {"index": v, "dim": d}), [leaf])
        check_value(OPS["pickrange"], Sample(shape, {"v": v, "u": u, "d": d}), leaf)
        check_gradients(OPS["pickrange"], Sample(shape, {"v": v, "u": u, "d": d}), [leaf])


@few
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 20), st.integers(1, 3), st.data())
def test_products(rows, inner, columns, batch, data):
    """Matrices of any size, with a minibatch on either side, with and without a bias."""
    right = (inner, columns) if columns else (inner,)
    batches = [batch if data.draw(st.booleans()) else 1 for _ in range(3)]
    bias = ((rows,), batches[2]) if data.draw(st.booleans()) or not columns else ((rows, columns), batches[2])
    shapes = [((rows, inner), batches[0]), (right, batches[1])]
    check_value(OPS["matmul"], Sample(shapes))
    check_value(OPS["matmul"], Sample(shapes), Parameter)
    check_value(
        OPS["affine_transform"], Sample([bias, *shapes], as_list=True), data.draw(st.sampled_from([Input, Parameter]))
    )
    if rows * inner < 200:
        kinds = [data.draw(st.sampled_from([Input, Parameter, Computed])) for _ in range(3)]
        check_gradients(OPS["affine_transform"], Sample([bias, *shapes], as_list=True), kinds)


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=12),
    st.sampled_from([1, 4, 7, 15, 16, 17, 33]),
)
def test_gradients_of_elements_picked_again_and_again_add_up(places, size):
    renew_cg()
    x = dy.inputTensor(np.zeros((size, 4)), batched=True)
    factors = np.arange(1, 1 + size * len(places), dtype=np.float32).reshape(size, -1)
    picked = dy.pick_batch_elems(x, places)
    dy.sum_batches(dy.dot_product(picked, dy.inputTensor(factors, batched=True))).backward(full=True)
    expected = np.zeros((size, 4))
    np.add.at(expected.T, places, factors.T)
    np.testing.assert_array_equal(x.gradient().reshape(size, 4), expected)


def test_scores_after_attention_are_a_vector():
    """A context column is joined to a vector; the scores that a beam search sorts have the vector's rank."""
    renew_cg()
    states, h = dy.inputTensor(np.ones((3, 4))), dy.inputVector([1.0, 2.0, 3.0])
    context = states * dy.softmax(dy.transpose(dy.transpose(h) * states))
    assert context.dim() == ((3, 1), 1)
    joined = dy.concatenate([h, context])
    assert joined.dim() == ((6,), 1)
    scores = dy.log_softmax(dy.inputTensor(np.arange(30.0).reshape(5, 6)) * joined)
    np.testing.assert_array_equal(np.argsort(scores.npvalue()), range(5))
