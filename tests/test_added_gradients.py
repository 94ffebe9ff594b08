"""Gradients of several graphs add up until an update, which then equals that of one graph with all losses."""

import numpy as np
import pytest

import dynet as dy

SENTENCES = [[0, 3, 3], [1], [3, 4], [5, 0]]  # row 2 is never used
KINDS = [dy.SimpleSGDTrainer, dy.MomentumSGDTrainer, dy.AdamTrainer, dy.AdamWTrainer]


def trained(kind, dense, threshold, together):
    """The parameters after three updates, each with the gradients of one graph or of a graph for each sentence."""
    model = dy.ParameterCollection()
    random = np.random.default_rng(1)
    E = model.lookup_parameters_from_numpy(random.standard_normal((6, 4)))
    W = model.parameters_from_numpy(random.standard_normal((3, 4)))
    trainer = kind(model, learning_rate=0.1)
    trainer.set_sparse_updates(not dense)
    trainer.set_clip_threshold(threshold)

    def loss_of(words):
        return dy.esum([dy.pickneglogsoftmax(W * dy.tanh(E[word]), word % 3) for word in words])

    for _ in range(3):
        dy.renew_cg()
        if together:
            dy.average([loss_of(words) for words in SENTENCES]).backward()
            trainer.update()
        else:
            for words in SENTENCES:
                dy.renew_cg()
                loss_of(words).backward()
            trainer.update(1 / len(SENTENCES))
    return E.as_array(), W.as_array()


@pytest.mark.parametrize("threshold", [0, 0.1, 5])
@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_several_graphs_and_one_update(kind, dense, threshold):
    for apart, together in zip(trained(kind, dense, threshold, False), trained(kind, dense, threshold, True)):
        np.testing.assert_allclose(apart, together, rtol=1e-5, atol=1e-5)


def test_gradients_that_add_up_are_not_those_of_the_last_graph():
    model = dy.ParameterCollection()
    w = model.add_parameters(1, init=1.0)
    trainer = dy.SimpleSGDTrainer(model, 0.5)
    for factor in (1.0, 3.0):
        dy.renew_cg()
        (factor * w).backward()
    assert w.grad_as_array().tolist() == [4]
    trainer.update(0.5)
    assert (w.value(), w.grad_as_array().tolist()) == (0, [0])
