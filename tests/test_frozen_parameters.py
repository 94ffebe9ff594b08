"""Parameters that are not trained get no gradient, whatever runs with them, and do not move later."""

import numpy as np
import pytest

import dynet as dy

TRAINERS = [dy.SimpleSGDTrainer, dy.MomentumSGDTrainer, dy.AdamTrainer, dy.AdagradTrainer, dy.RMSPropTrainer]


class Network:
    """A graph in which each kind of parameter meets others, frozen or not, in steps that run together."""

    def __init__(self):
        self.model = dy.ParameterCollection()
        draw = np.random.default_rng(3)
        self.W, self.V = (self.model.parameters_from_numpy(draw.normal(size=(4, 3))) for _ in range(2))
        self.p, self.q = (self.model.parameters_from_numpy(draw.normal(size=3)) for _ in range(2))
        self.E, self.F = (self.model.lookup_parameters_from_numpy(draw.normal(size=(6, 3))) for _ in range(2))
        self.G = self.model.lookup_parameters_from_numpy(draw.normal(size=(4, 3)))

    def everything(self):
        return [*self.model.parameters_list(), *self.model.lookup_parameters_list()]

    def loss(self, *, without=()):
        x = dy.inputVector([0.5, -1.0, 2.0])
        terms = {
            self.W: lambda: dy.tanh(self.W * x),
            self.V: lambda: dy.tanh(self.V * x),
            self.p: lambda: dy.concatenate([dy.tanh(self.p), dy.ones((1,))]),
            self.q: lambda: dy.concatenate([dy.tanh(self.q), dy.ones((1,))]),
            self.E: lambda: dy.concatenate([dy.tanh(self.E[2]), dy.ones((1,))]),
            self.F: lambda: dy.concatenate([dy.tanh(self.F[2]), dy.sum_elems(dy.lookup_batch(self.F, [1]))]),
            self.G: lambda: dy.tanh(dy.transpose(self.G) * x),
        }
        return dy.sum_elems(dy.esum([term() for p, term in terms.items() if p not in without]))


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("place", range(7))
def test_a_frozen_parameter_gets_no_gradient(place, full):
    network = Network()
    frozen = network.everything()[place]
    frozen.set_updated(False)
    dy.renew_cg()
    network.loss().backward(full=full)
    for p in network.everything():
        assert p.grad_as_array().any() == (p is not frozen), p
    expected = [p.grad_as_array() for p in network.everything()]
    frozen.set_updated(True)
    for p in network.everything():
        p.scale_gradient(0)
    dy.renew_cg()
    network.loss().backward()
    for p, gradient in zip(network.everything(), expected):
        if p is not frozen:
            np.testing.assert_allclose(p.grad_as_array(), gradient, rtol=1e-6)


@pytest.mark.parametrize("trainer", TRAINERS)
@pytest.mark.parametrize("place", range(7))
def test_it_stays_where_it_is_when_it_is_trained_again_but_not_used(place, trainer):
    network = Network()
    frozen = network.everything()[place]
    trainer = trainer(network.model)
    frozen.set_updated(False)
    before = frozen.as_array()
    for _ in range(3):
        dy.renew_cg()
        network.loss().backward(full=True)
        trainer.update()
    frozen.set_updated(True)
    dy.renew_cg()
    network.loss(without=[frozen]).backward()
    trainer.update()
    np.testing.assert_array_equal(frozen.as_array(), before)
    dy.renew_cg()
    network.loss().backward()
    trainer.update()
    assert (frozen.as_array() != before).any()


def test_a_graph_can_be_differentiated_again_after_thawing():
    network = Network()
    network.W.set_updated(False)
    network.G.set_updated(False)
    dy.renew_cg()
    loss = network.loss()
    loss.backward(full=True)
    network.W.set_updated(True)
    network.G.set_updated(True)
    loss.backward()
    gradients = network.W.grad_as_array(), network.G.grad_as_array()
    fresh = Network()
    dy.renew_cg()
    fresh.loss().backward()
    np.testing.assert_allclose(gradients[0], fresh.W.grad_as_array(), rtol=1e-6)
    np.testing.assert_allclose(gradients[1], fresh.G.grad_as_array(), rtol=1e-6)
    assert network.G._dense_gradient
