"""Pruning in SparseLSTMBuilder: which weights are removed, and that they stay 0."""

import numpy as np
import pytest

import dynet_ops as dy
import dynet_rnn as rnn
from dynet_core import ArgumentError, ArgumentTypeError, ParameterCollection, renew_cg


@pytest.fixture
def builder():
    renew_cg()
    return rnn.SparseLSTMBuilder(2, 3, 4, ParameterCollection())


def flat(arrays):
    return np.concatenate([np.ravel(array) for array in arrays])


def weights_and_masks(builder):
    layers = [[p.as_array() for p in layer] for layer in builder.get_parameters()]
    return flat([w for layer in layers for w in layer[:2]]), flat([m for layer in layers for m in layer[3:]])


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 0.5, 0.97, 1.0, np.float32(0.5), 1])
def test_the_smallest_weights_of_all_layers_go(builder, share):
    before, _ = weights_and_masks(builder)
    builder.set_sparsity(share)
    weights, masks = weights_and_masks(builder)
    assert (weights == before).all()
    assert (masks == 0).sum() == int(share * len(masks))
    assert max(abs(weights[masks == 0]), default=0) <= min(abs(weights[masks == 1]), default=9)


def test_what_is_pruned_stays_pruned_as_the_share_rises(builder):
    builder.set_sparsity(0.3)
    _, first = weights_and_masks(builder)
    for layer in builder.get_parameters():
        layer[0].set_value(1 - layer[0].as_array())  # other weights are the smallest now
    builder.set_sparsity(0.6)
    _, second = weights_and_masks(builder)
    assert not second[first == 0].any()
    builder.set_sparsity(0.2)
    weights, third = weights_and_masks(builder)
    revived = (third == 1) & (second == 0)
    assert min(abs(weights[revived])) >= max(abs(weights[third == 0]))


def test_pruned_weights_have_no_part_and_no_gradient(builder):
    builder.set_sparsity(1.0)
    for layer in builder.get_parameters():
        layer[2].set_value(np.full(16, 0.1))
    x = dy.inputVector([1, 2, 3])
    y = builder.initial_state().transduce([x, x])[-1]
    other = builder.initial_state().transduce([-x, -x])[-1]
    assert y.npvalue().tolist() == other.npvalue().tolist()
    dy.sum_elems(y).backward()
    below, above = [[p.grad_as_array().any() for p in layer] for layer in builder.get_parameters()]
    assert (below, above) == ([False] * 5, [False, False, True, False, False])


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan"), float("inf")])
def test_no_share(builder, share):
    _, before = weights_and_masks(builder)
    with pytest.raises(ArgumentError, match=r"set_sparsity: sparsity must be in \[0, 1\]"):
        builder.set_sparsity(share)
    assert (weights_and_masks(builder)[1] == before).all()


@pytest.mark.parametrize("share", [None, "0.5", [0.5], 0.5j])
def test_no_number(builder, share):
    with pytest.raises(ArgumentTypeError, match="set_sparsity"):
        builder.set_sparsity(share)
