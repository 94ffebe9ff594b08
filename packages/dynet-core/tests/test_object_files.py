"""`dy.save` and `dy.load` restore objects, and no file can make loading do anything else."""

import io
import os
import pickle
import sys
import types

import numpy as np
import pytest

import dynet_core as dy
from dynet_core import ArgumentError, ArgumentTypeError, DynetParams, FileFormatError, ParameterCollection, config


class Layer:
    """A user-defined object."""

    def __init__(self, model, size, options=None):
        self.spec = (size, options)
        self.collection = model.add_subcollection("layer")
        self.W = self.collection.add_parameters((size, size))
        self.E = self.collection.add_lookup_parameters((3, size))

    def param_collection(self):
        return self.collection

    @staticmethod
    def from_spec(spec, model):
        return Layer(model, *spec)


class Other(Layer):
    @staticmethod
    def from_spec(spec, model):
        return Other(model, *spec)


def arrays(*objects):
    return [array.tolist() for item in objects for array in item_arrays(item)]


def item_arrays(item):
    if isinstance(item, Layer):
        return [item.W.as_array(), item.E.as_array()]
    return [item.as_array()]


@pytest.fixture
def base(tmp_path):
    return str(tmp_path / "model")


def test_objects_come_back_in_order(base):
    model = ParameterCollection()
    objects = [
        model.add_lookup_parameters((4, 2)),
        Layer(model, 3),
        Other(model, 2),
        model.add_parameters((2, 3)),
    ]
    dy.save(base, (item for item in objects))
    copy = ParameterCollection()
    loaded = dy.load(base, copy)
    assert [type(item) for item in loaded] == [type(item) for item in objects]
    assert arrays(*loaded) == arrays(*objects)
    assert [p.name() for p in copy.parameters_list()] == ["/layer/_0", "/layer_1/_0", "/_1"]
    assert arrays(*dy.load_generator(base, copy)) == arrays(*objects)


def test_objects_of_one_name_come_back(base):
    layers = [Layer(ParameterCollection(), size) for size in (2, 2, 3)]
    dy.save(base, layers)
    assert arrays(*dy.load(base, ParameterCollection())) == arrays(*layers)


def test_specs_hold_plain_values_and_classes(base):
    options = {"a": [1, 2.5, None, True], (1, "é"): {b"x", 3}, "class": Layer, "big": 10**30}
    dy.save(base, [Layer(ParameterCollection(), np.int64(2), options)])
    (layer,) = dy.load(base, ParameterCollection())
    assert layer.spec == (2, options)
    assert type(layer.spec[0]) is np.int64


class Stubborn:
    """Cannot be pickled."""

    def __reduce__(self):
        raise KeyError("no")


COLLECTION = ParameterCollection()


@pytest.mark.parametrize(
    "value", [lambda: 0, types, Stubborn(), COLLECTION, [COLLECTION.add_parameters(2)], Layer(COLLECTION, 2)]
)
def test_what_pickle_refuses_is_refused_before_anything_is_written(value, base, tmp_path):
    with pytest.raises(ArgumentTypeError, match="the spec of Layer cannot be pickled"):
        dy.save(base, [Layer(ParameterCollection(), 2, value)])
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_object_is_refused(base):
    with pytest.raises(ArgumentTypeError, match="got int"):
        dy.save(base, [1])


def test_components_of_a_model(base):
    model = ParameterCollection()
    layer, parameter = Layer(model, 2), model.add_parameters(3)
    model.save(base, [parameter, layer])
    copy = ParameterCollection()
    assert arrays(*copy.load(base)) == arrays(parameter, layer)
    model.save(base, components=[layer])
    assert arrays(*copy.load(base)) == arrays(layer)
    model.save(base)
    assert len(copy.load(base)) == 3


def test_an_interrupted_save_is_completed_by_readers(base, monkeypatch):
    old, new = Layer(ParameterCollection(), 2), Layer(ParameterCollection(), 3)
    dy.save(base, [old])

    def interrupted(source, target, replace=os.replace):
        if target.endswith(".data"):
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        dy.save(base, [new])
    monkeypatch.undo()
    assert arrays(*dy.load(base, ParameterCollection())) == arrays(new)
    dy.save(base, [old])
    assert arrays(*dy.load(base, ParameterCollection())) == arrays(old)
    dy.save(base, [new])
    assert arrays(*dy.load(base, ParameterCollection())) == arrays(new)


# Damaged and hostile files


def write_meta(base, *contents):
    with open(base + ".meta", "wb") as file:
        file.writelines(contents)


def refused(base, match=None):
    """Check that a file is refused and that the collection is unchanged."""
    model = ParameterCollection()
    part = model.add_subcollection("part")
    with pytest.raises(FileFormatError, match=match):
        dy.load(base, part)
    assert model.parameters_list() == model.lookup_parameters_list() == []
    assert part.add_subcollection("layer").name() == "/part/layer/"
    assert part.add_parameters(1).name() == "/part/_0"


@pytest.fixture
def saved(base):
    model = ParameterCollection()
    dy.save(base, [model.add_parameters(2), Layer(model, 2), model.add_parameters(3)])
    return base


class Attack:
    """Its pickle contains a call."""

    def __reduce__(self):
        return sys.exit, ("the file ran code",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("content", [Attack(), ("Parameters", Attack()), (Layer, Attack(), "/layer/"), (Attack(), 2)])
def test_loading_never_runs_code(content, protocol, saved):
    write_meta(saved, pickle.dumps(content, protocol))
    refused(saved, r"object 0: sys.exit (is a function, not a class|would be called)$")


@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x04cbuiltins\nexec\n\x8c\x08print(1)\x85R.",
        b"\x80\x04c__main__\nLayer\n)\x81.",  # NEWOBJ
        b"(i__main__\nLayer\n.",  # INST
        b"(c__main__\nLayer\no.",  # OBJ
        b"\x80\x04c__main__\nLayer\n}b.",  # BUILD
        b"\x80\x02\x82\x01.",  # EXT1
        b"Pwhere\n.",  # PERSID
        b"\x80\x05\x96\x00\x00\x00\x00\x10\x00\x00\x00.",  # BYTEARRAY8, 64 GB
        b"\x80\x04\x8e\x00\x00\x00\x00\x10\x00\x00\x00.",  # BINBYTES8
        b"\x80\x04Nr\xff\xff\xff\xff.",  # LONG_BINPUT far beyond the memo
        b"\x80\x04\x95\x00\x00\x00\x00\x10\x00\x00\x00.",  # FRAME
        b".",
        b"\x80\x04N.",
        b"\x80\x04).",
        b"\x80\x63N.",
        b"I" + b"9" * 10_000 + b"\n.",
    ],
)
def test_pickles_of_other_kinds_are_refused(content, saved):
    write_meta(saved, content)
    refused(saved)


def test_values_that_unfold_without_end_are_refused(saved):
    value = ()
    for _ in range(40):
        value = (value, value)
    write_meta(saved, pickle.dumps((Layer, value, "/layer/")))
    refused(saved, "nested too deeply")


@pytest.mark.parametrize(
    "name, reason",
    [
        ("os.system", "os.system is a function, not a class"),
        ("sys.modules", "sys.modules is not a class"),
        ("collections.OrderedDict", "a collections.OrderedDict, which has no from_spec"),
        ("never_imported.Layer", "never_imported.Layer is in no module that is imported"),
        ("_dynet.Parameters", "a dynet_core.parameter.base.Parameters, which has no from_spec"),
        ("_dynet.NoTrainer", "_dynet.NoTrainer is neither a class nor an operation of this library$"),
        ("_dynet.save", "_dynet.save is neither a class nor an operation of this library$"),
    ],
)
def test_only_known_classes_with_from_spec_are_made(name, reason, saved):
    module, _, attribute = name.rpartition(".")
    write_meta(saved, b"\x80\x04c%s\n%s\n)\x8c\x07/layer/\x87." % (module.encode(), attribute.encode()))
    refused(saved, reason)
    assert "never_imported" not in sys.modules


@pytest.mark.parametrize("spec", [(), 5, (0,), (-1,), ("x",), (2, 3, 4), None, (10**6,), (3,), ([2],)])
def test_a_spec_that_does_not_fit_is_refused(spec, saved):
    write_meta(saved, pickle.dumps(("Parameters", "/_0")), pickle.dumps((Layer, spec, "/layer/")))
    refused(saved)


@pytest.mark.parametrize("what", [("Parameters", "/_7"), ("LookupParameters", "/_0"), (Layer, (2, None), "/later/")])
def test_what_the_data_file_lacks_is_refused(what, saved):
    write_meta(saved, pickle.dumps(("Parameters", "/_0")), pickle.dumps(what))
    refused(saved)


@pytest.mark.parametrize(
    ("content", "said"), [(b"(" * 5_000, "nested too deeply"), (b"N(.", "ends within a value"), (b"NN.", "ends within")]
)
def test_marks_and_values_that_lead_to_nothing(saved, content, said):
    write_meta(saved, content)
    refused(saved, f"object 0: .*: .*{said}")


@pytest.mark.parametrize("ending", [".data", ".meta"])
def test_files_cut_anywhere_are_refused(ending, saved):
    with open(saved + ending, "rb") as file:
        whole = file.read()
    for end in range(0, len(whole), 7):
        with open(saved + ending, "wb") as file:
            file.write(whole[:end])
        try:
            loaded = dy.load(saved, ParameterCollection())
        except FileFormatError:
            continue
        assert ending == ".meta" and len(loaded) < 3  # cut between two objects
    with open(saved + ending, "wb") as file:
        file.write(whole)
    assert len(dy.load(saved, ParameterCollection())) == 3


def test_a_generator_leaves_what_it_gave_out(saved):
    with open(saved + ".meta", "ab") as file:
        file.write(pickle.dumps(("Parameters", "/_7")))
    model = ParameterCollection()
    objects = dy.load_generator(saved, model)
    found = [next(objects) for _ in range(3)]
    with pytest.raises(FileFormatError):
        next(objects)
    assert arrays(*model.parameters_list()) == arrays(found[0], found[1].W, found[2])


def test_a_pickle_of_ours_is_an_ordinary_pickle(saved):
    with open(saved + ".meta", "rb") as file:
        content = io.BytesIO(file.read())
    assert [pickle.load(content) for _ in range(3)] == [
        ("Parameters", "/_0"),
        (Layer, (2, None), "/layer/"),
        ("Parameters", "/_1"),
    ]


# Objects of user-defined classes in specs


class Vocabulary:
    def __init__(self, *words):
        self.indices = {word: index for index, word in enumerate(words)}


NAME = f"{__name__}.Vocabulary"


@pytest.fixture
def parser(base):
    layer = Layer(ParameterCollection(), 2, Vocabulary("the", "a"))
    dy.save(base, [layer])
    return layer


def words(layer):
    assert type(layer.spec[1]) is Vocabulary
    return layer.spec[1].indices


def test_a_refused_class_is_named_and_nothing_is_loaded(parser, base, by_name):
    refused(base, rf"model.meta: object 0: {NAME} is a class that you have not allowed; .*allow=\[Vocabulary\]")
    assert list(words(dy.load(base, ParameterCollection(), allow=[Vocabulary])[0])) == ["the", "a"]


@pytest.mark.parametrize(
    "allow",
    [[Vocabulary], (Vocabulary,), {Vocabulary}, [NAME], {NAME: Vocabulary}],
    ids=["list", "tuple", "set", "name", "dict"],
)
def test_ways_to_allow_a_class(allow, parser, base):
    (layer,) = dy.load(base, ParameterCollection(), allow=allow)
    assert words(layer) == {"the": 0, "a": 1} and arrays(layer) == arrays(parser)


@pytest.mark.parametrize(
    "allow", [Vocabulary, NAME, None, 3, [3], ["Vocabulary"], {"a.B": 3}, {3: Vocabulary}], ids=str
)
def test_what_cannot_be_allowed_is_refused_at_the_call(allow, parser, base):
    for load in (dy.load, dy.load_generator, lambda base, model, allow: model.load(base + ".data", allow=allow)):
        with pytest.raises(ArgumentTypeError, match="allow: expected"):
            load(base, ParameterCollection(), allow=allow)


def test_a_name_is_looked_up_in_modules_that_are_imported(saved):
    write_meta(
        saved, b"c%s\nLayer\n(K\x02cnever_imported\nWords\n)\x81tX\x07\x00\x00\x00/layer/\x87." % __name__.encode()
    )
    with pytest.raises(FileFormatError, match="never_imported.Words is in no module that is imported"):
        dy.load(saved, ParameterCollection(), allow=["never_imported.Words"])
    assert "never_imported" not in sys.modules


def test_generators_and_components_take_it_too(base, by_name):
    model = ParameterCollection()
    layer = Layer(model, 2, Vocabulary("the"))
    with pytest.warns(UserWarning, match="load will ask for a permission: .*Vocabulary"):
        dy.save(base, [layer])
    assert words(next(dy.load_generator(base, ParameterCollection(), allow=[Vocabulary]))) == {"the": 0}
    config.PARAMS.set_own_classes(True)
    model.save(base, [layer])
    config.PARAMS.set_own_classes(False)
    assert words(ParameterCollection().load(base, allow=[Vocabulary])[0]) == {"the": 0}
    with pytest.raises(FileFormatError, match="Vocabulary is a class that you have not allowed"):
        ParameterCollection().load(base)


def test_settings_allow_a_class_for_all_files(parser, base, by_name):
    config.PARAMS.set_allow(["other.Class", NAME])
    assert words(dy.load(base, ParameterCollection())[0]) == {"the": 0, "a": 1}
    assert words(dy.load(base, ParameterCollection(), allow=[Layer])[0]) == {"the": 0, "a": 1}
    config.PARAMS.set_allow([])
    refused(base, "Vocabulary is a class that you have not allowed")
    with pytest.raises(ArgumentTypeError, match="allow: expected"):
        config.PARAMS.set_allow(Vocabulary)


def test_the_environment_allows_a_class_for_all_files(parser, base, monkeypatch):
    monkeypatch.setenv("DYNET_ALLOW", f"{NAME}, other.Class,")
    monkeypatch.setattr(config, "PARAMS", DynetParams())
    assert words(dy.load(base, ParameterCollection())[0]) == {"the": 0, "a": 1}
    config.PARAMS.set_allow(["other.Class"])
    assert words(dy.load(base, ParameterCollection())[0]) == {"the": 0, "a": 1}
    monkeypatch.setenv("DYNET_ALLOW", "Vocabulary")
    with pytest.raises(ArgumentError, match="DYNET_ALLOW takes names such as module.Class,module.Other"):
        DynetParams()


class Hidden(Vocabulary):
    def __setstate__(self, state):
        self.__dict__.update(state)


@pytest.fixture
def unloadable(base, fresh):
    return Layer(ParameterCollection(), 2, Hidden("the"))


def test_what_nobody_can_load_is_saved_with_one_warning(unloadable, base):
    with pytest.warns(UserWarning, match="load will refuse them: .*Hidden has __setstate__ of its own") as warned:
        for _ in range(2):
            dy.save(base, [unloadable])
        for _ in range(2):
            unloadable.collection.save(base + ".model", [unloadable])
    assert [warning.filename for warning in warned] == [__file__] * 2
    with pytest.raises(FileFormatError, match="object 0: .*Hidden has __setstate__ of its own"):
        dy.load(base, ParameterCollection(), allow=[Hidden])


def test_a_warning_that_is_an_error_comes_after_the_files(unloadable, base):
    with pytest.raises(UserWarning, match="load will refuse them"):
        dy.save(base, [unloadable])
    assert os.path.exists(base + ".data") and os.path.exists(base + ".meta")


# Objects of user-defined classes that lack a required method


class NoFromSpec:
    def __init__(self, model, spec=(1,)):
        self.model = model
        self.spec = spec

    def param_collection(self):
        return self.model


class WrongProperty(NoFromSpec):
    @property
    def spec(self):
        raise AttributeError("inner bug")

    @spec.setter
    def spec(self, value): ...


class ReturnsNothing(NoFromSpec):
    @staticmethod
    def from_spec(spec, model):
        return None


class Nowhere(NoFromSpec):
    @staticmethod
    def from_spec(spec, model):
        return Nowhere(None if spec else model)


def test_a_class_without_from_spec_is_told_so_from_the_beginning(base):
    said = "NoFromSpec has no from_spec, the method by which load"
    with pytest.warns(UserWarning, match=f"load will refuse them: .*{said}"):
        dy.save(base, [NoFromSpec(ParameterCollection())])
    for allow in ([], [NoFromSpec]):
        with pytest.raises(FileFormatError, match=said) as caught:
            dy.load(base, ParameterCollection(), allow=allow)
        assert "allow=" not in str(caught.value) and "damaged" not in str(caught.value)


def test_what_the_users_methods_return_or_raise_is_said(base):
    with pytest.raises(AttributeError, match="^inner bug$"):
        dy.save(base, [WrongProperty(ParameterCollection())])
    with pytest.raises(ArgumentTypeError, match=r"^Nowhere.param_collection\(\) returned None, not a collection"):
        dy.save(base, [Nowhere(None)])
    model = ParameterCollection()
    dy.save(base, [ReturnsNothing(model)])
    with pytest.raises(
        FileFormatError, match="ReturnsNothing.from_spec failed: .*it returned None, which has no param"
    ):
        dy.load(base, model)
    dy.save(base, [Nowhere(model)])
    with pytest.raises(FileFormatError, match=r"Nowhere.param_collection\(\) returned None, not a collection"):
        dy.load(base, model)


class Outer:
    class Inner: ...

    def method(self): ...


def test_what_to_allow_is_named_as_in_the_program(base):
    for value, name in ((Outer.Inner, "Outer.Inner"), (Outer.method, "Outer.method")):
        model = ParameterCollection()
        with pytest.warns(UserWarning, match=rf"allow=\[{name}\]"):
            dy.save(base, [Layer(model, 2, value)])
        with pytest.raises(FileFormatError, match=rf"allow=\[{name}\]\), or DYNET_ALLOW={__name__}.{name} in"):
            dy.load(base, model)
        (layer,) = dy.load(base, model, allow=[value])
        assert layer.spec == (2, value)


def test_a_meta_file_that_was_emptied_is_refused(tmp_path):
    model = ParameterCollection()
    path = str(tmp_path / "model")
    dy.save(path, [model.add_parameters(2), model.add_parameters(3)])
    (tmp_path / "model.meta").write_bytes(b"")
    other = ParameterCollection()
    with pytest.raises(FileFormatError, match=r"model\.meta describes no object, but .*model\.data holds 2 parameters"):
        dy.load(path, other)
    assert not other.parameters_list()
    dy.save(path, [])
    assert dy.load(path, other) == []
