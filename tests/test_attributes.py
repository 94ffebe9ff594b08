"""Unknown attributes cannot be set, as in DyNet; user-defined subclasses accept any."""

import copy
import dataclasses
import functools
import pickle
import weakref
from typing import ClassVar

import pytest

import dynet as dy
from dynet_core.graph import current

MODEL = dy.ParameterCollection()
X = dy.inputVector([1, 2])
OBJECTS = {
    "collection": MODEL,
    "parameter": MODEL.add_parameters(2),
    "table": MODEL.add_lookup_parameters((3, 2)),
    "node": X,
    "row": MODEL.add_lookup_parameters((3, 2))[1],
    "placeholder": dy.Expression(),
    "state": dy.GRUBuilder(1, 2, 3, MODEL).initial_state(),
    "tensor": X.tensor_value(),
    "graph": current(),
    "settings": dy.DynetParams(),
    "no initializer": dy.PyInitializer(),
    "initializer": dy.GlorotInitializer(),
    "softmax": dy.StandardSoftmaxBuilder(2, 3, MODEL),
    **{name: getattr(dy, name)(MODEL) for name in dir(dy) if name.endswith("Trainer") and name != "Trainer"},
    **{
        name: getattr(dy, name)(1, 2, 4, MODEL)
        for name in dir(dy)
        if name.endswith(("RNNBuilder", "LSTMBuilder", "GRUBuilder"))
        and name not in ("_RNNBuilder", "BiRNNBuilder", "LSTMBuilder")
    },
}


@pytest.mark.parametrize("what", OBJECTS)
def test_no_new_attributes(what):
    with pytest.raises(AttributeError, match="no attribute 'colour'|assign to field"):
        OBJECTS[what].colour = 1
    assert not hasattr(OBJECTS[what], "colour")


SLIPS = [
    ("AdamTrainer", "learning_rte", "use learning_rate"),
    ("SimpleSGDTrainer", "clip_threshold", r"use trainer.set_clip_threshold\(threshold\)"),
    ("AdamTrainer", "weight_decay", "use set_weight_decay of the collection"),
    ("AdamTrainer", "update", r"AdamTrainer.update is a method: call it, update\(...\)"),
    ("VanillaLSTMBuilder", "dropout", r"use b.set_dropout\(rate\)"),
    ("VanillaLSTMBuilder", "set_dropout", r"call it, set_dropout\(...\)"),
    ("ChildSumTreeLSTMBuilder", "dropout", r"use b.set_dropout\(rate\)"),
    ("GRUBuilder", "spec", "spec"),
    ("collection", "training", "use set_dropout of networks, and dy.dropout where you train"),
    ("collection", "weight_decay", r"use model.set_weight_decay\(decay\)"),
    ("collection", "colour", "only objects of your own subclasses accept new ones"),
]


@pytest.mark.parametrize(("what", "name", "said"), SLIPS)
def test_a_slip_is_told_what_is_meant(what, name, said):
    before = {**vars(OBJECTS[what])}
    with pytest.raises(AttributeError, match=said):
        setattr(OBJECTS[what], name, 0.5)
    assert vars(OBJECTS[what]) == before


def test_what_is_there_can_be_set():
    trainer, settings = OBJECTS["AdamTrainer"], dy.DynetParams()
    trainer.learning_rate = 0.5
    trainer.status, trainer._mine = lambda: "mine", 1
    assert trainer.status() == "mine"
    del trainer.status, trainer._mine
    settings.mem = 7
    assert trainer.learning_rate == 0.5 and settings.mem == 7 and dy.DynetParams().mem == 512
    both = dy.BiRNNBuilder(1, 2, 4, MODEL, dy.GRUBuilder)
    both.colour, both.dropout = 1, 0.5
    assert (both.colour, both.dropout) == (1, 0.5)


class Mixed:
    """Records which attributes are set."""

    def __setattr__(self, name, value):
        self.__dict__.setdefault("noted", []).append(name)
        super().__setattr__(name, value)


class Trainer(dy.AdamTrainer):
    @functools.cached_property
    def twice(self):
        return 2 * self.learning_rate


class Noted(Trainer, Mixed):
    pass


class NotedFirst(Mixed, dy.ParameterCollection):
    pass


class Strict(dy.GRUBuilder):
    def __setattr__(self, name, value):
        if name == "forbidden":
            raise ValueError(name)
        super().__setattr__(name, value)


class Registered:
    """Records its subclasses, and does not call other classes."""

    found: ClassVar[list[type]] = []

    def __init_subclass__(cls):
        cls.found.append(cls)


class Tagger(Registered, dy.ParameterCollection):
    pass


class Nowhere(dy.AdamTrainer):
    __module__ = None


class Both(dy.ParameterCollection, dy.AdamTrainer):
    def __init__(self):
        dy.ParameterCollection.__init__(self)
        dy.AdamTrainer.__init__(self, self)


def test_subclasses_of_users_take_any_attribute():
    for x in (Trainer(MODEL), Noted(MODEL), NotedFirst(), Strict(1, 2, 3, MODEL), Both(), Tagger(), Nowhere(MODEL)):
        x.colour = x.lr = x.training = x.update = x.dropout = 1
        assert x.colour == x.lr == x.training == x.update == x.dropout == 1
    assert Noted(MODEL).noted and "_names" in NotedFirst().noted
    with pytest.raises(ValueError, match="forbidden"):
        Strict(1, 2, 3, MODEL).forbidden = 1
    assert Registered.found == [Tagger] and "__setattr__" not in {*vars(Tagger), *vars(Trainer), *vars(Noted)}


def test_a_frozen_dataclass_of_a_users_may_be_a_collection():
    model = dataclasses.dataclass(frozen=True)(
        type("Frozen", (dy.ParameterCollection,), {"__annotations__": {"n": int}})
    )
    assert model(4).n == 4
    with pytest.raises(dataclasses.FrozenInstanceError):
        model(4).n = 5


def test_copies_pickles_and_references_are_as_before():
    model = dy.ParameterCollection()
    model.add_parameters(2, init=1.0)
    trainer = Trainer(model)
    trainer.colour = "red"
    assert trainer.twice == 0.002 and weakref.ref(trainer)() is trainer
    for made in (copy.copy(trainer), copy.deepcopy(trainer), pickle.loads(pickle.dumps(trainer))):
        assert (made.colour, made.twice, vars(made)["twice"]) == ("red", 0.002, 0.002)
    for x in (model, dy.AdamTrainer(model), dy.VanillaLSTMBuilder(1, 2, 3, model)):
        assert weakref.ref(x)() is x
        for made in (copy.copy(x), copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
            assert made is not x and vars(made).keys() == vars(x).keys()
            with pytest.raises(AttributeError, match="no attribute 'colour'"):
                made.colour = 1


class Slotted(dy.GRUBuilder):
    __slots__ = ("steps",)


def test_copies_of_builders_keep_slots():
    builder = Slotted(1, 2, 3, dy.ParameterCollection())
    builder.steps, builder.colour = 5, "red"
    for made in (copy.copy(builder), copy.deepcopy(builder), pickle.loads(pickle.dumps(builder))):
        assert (made.steps, made.colour, made.spec) == (5, "red", builder.spec)


def test_a_copy_of_a_trainer_counts_for_itself():
    model = dy.ParameterCollection()
    trainer = dy.AdamTrainer(model)
    other = copy.copy(trainer)
    dy.sum_elems(model.add_parameters(2)).backward()
    trainer.update()
    assert "0 updates" in repr(other) and "1 update" in repr(trainer)


def test_a_frozen_dataclass_may_be_an_initializer():
    from dataclasses import dataclass

    @dataclass(frozen=True)
    class Twos(dy.PyInitializer):
        number: float = 2.0

        def draw(self, dim):
            return self.number

    assert Twos().number == 2
