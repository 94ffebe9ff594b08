"""Frozen parameters get no gradient, whatever nodes run with them, and later updates do not change them."""

import copy

import numpy as np
import pytest

import dynet as dy

TRAINERS = [dy.SimpleSGDTrainer, dy.MomentumSGDTrainer, dy.AdamTrainer, dy.AdagradTrainer, dy.RMSPropTrainer]


class Network:
    """A graph in which each kind of parameter is combined with others, frozen or not, in steps that run together."""

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
    assert network.G._storage.touched_list[-1]


def model_of_four():
    model = dy.ParameterCollection()
    model.add_parameters(2)
    model.add_parameters((2, 3))
    model.add_subcollection("part").add_lookup_parameters((4, 3))
    model.add_lookup_parameters((4, 3))
    return model


def updated(model):
    return [p.is_updated() for p in [*model.parameters_list(), *model.lookup_parameters_list()]]


def test_a_whole_collection_is_frozen_and_back():
    model = model_of_four()
    model.set_updated(False)
    assert updated(model) == [False] * 4
    assert model.add_parameters(1).is_updated(), "what is added later is not meant"
    with pytest.raises(dy.ArgumentTypeError, match="set_updated: b must be True or False, not 'no'"):
        model.set_updated("no")
    model.set_updated(True)
    assert updated(model) == [True] * 5


def test_masks_are_not_meant():
    """They would decay if trainers were allowed to change them."""
    model = dy.ParameterCollection()
    network = dy.SparseLSTMBuilder(1, 2, 3, model)
    model.set_updated(True)
    assert [p.is_updated() for p in network.get_parameters()[0]] == [True] * 3 + [False] * 2
    copied = copy.deepcopy(model)
    copied.set_updated(True)
    assert updated(copied) == updated(model)


@pytest.mark.parametrize("name", ["model", "model.safetensors"])
def test_what_is_frozen_stays_so_in_files(name, tmp_path):
    model, file = model_of_four(), str(tmp_path / name)
    for p in [*model.parameters_list(), *model.lookup_parameters_list()][::2]:
        p.set_updated(False)
    model.save(file)
    assert updated(dy.ParameterCollection.from_file(file)) == [False, True] * 2
    other = model_of_four()
    other.parameters_list()[1].set_updated(False)
    other.populate(file)
    assert updated(other) == [False, False, False, True], "nothing that is frozen here begins to move"
    other = dy.ParameterCollection()
    assert not other.load_param(file, "/_0").is_updated()
    assert other.load_lookup_param(file, "/_2").is_updated()
    single = other.add_lookup_parameters((4, 3))
    single.populate(file, "/part/_0")
    assert not single.is_updated()
    single.save(file, "single", append=True)
    assert updated(dy.ParameterCollection.from_file(file)) == [False, True, False, True, False]


def test_what_is_frozen_stays_so_in_saved_objects(tmp_path):
    model, file = dy.ParameterCollection(), str(tmp_path / "objects")
    objects = [model.add_parameters(2), dy.GRUBuilder(1, 2, 3, model), model.add_lookup_parameters((4, 3))]
    model.set_updated(False)
    model.parameters_list()[3].set_updated(True)
    dy.save(file, objects)
    other = dy.ParameterCollection()
    dy.load(file, other)
    assert [p.is_updated() for p in other.parameters_list()] == [k == 3 for k in range(len(other.parameters_list()))]
    assert not other.lookup_parameters_list()[0].is_updated()


@pytest.mark.parametrize("frozen", ["5", '["/_9"]', "{", "null", "[[]]"])
def test_a_damaged_list_of_frozen_parameters_is_refused(frozen, tmp_path):
    import safetensors.numpy

    file = str(tmp_path / "model.safetensors")
    metadata = {"dynet": '[["/_0", false]]', "dynet.frozen": frozen}
    safetensors.numpy.save_file({"/_0": np.zeros(2, np.float32)}, file, metadata)
    with pytest.raises(dy.FileFormatError, match="frozen"):
        dy.ParameterCollection.from_file(file)
