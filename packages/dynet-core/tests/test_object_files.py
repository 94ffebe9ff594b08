"""`dy.save` and `dy.load`: objects come back, and a file cannot make the library do anything else."""

import io
import os
import pickle
import sys
import types

import numpy as np
import pytest

import dynet_core as dy
from dynet_core import ArgumentError, ArgumentTypeError, FileFormatError, ParameterCollection


class Layer:
    """An object of a user's."""

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
    assert type(layer.spec[0]) is int


@pytest.mark.parametrize("value", [np.zeros(3), object(), lambda: 0, ParameterCollection(), os.system, types])
def test_other_specs_are_refused_before_anything_is_written(value, base, tmp_path):
    with pytest.raises(ArgumentError, match="the spec of Layer holds a"):
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
    """That a file is refused, and that the collection is as it was."""
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
    """Pickles to a call."""

    def __reduce__(self):
        return sys.exit, ("the file ran code",)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("content", [Attack(), ("Parameters", Attack()), (Layer, Attack(), "/layer/"), (Attack(), 2)])
def test_loading_never_runs_code(content, protocol, saved):
    write_meta(saved, pickle.dumps(content, protocol))
    refused(saved, "is damaged")


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


@pytest.mark.parametrize("name", ["os.system", "collections.OrderedDict", "never_imported.Layer", "_dynet.Trainer"])
def test_only_known_classes_with_from_spec_are_made(name, saved):
    module, _, attribute = name.rpartition(".")
    write_meta(saved, b"\x80\x04c%s\n%s\n)\x8c\x07/layer/\x87." % (module.encode(), attribute.encode()))
    refused(saved, "no imported module has it")
    assert "never_imported" not in sys.modules


@pytest.mark.parametrize("spec", [(), 5, (0,), (-1,), ("x",), (2, 3, 4), None, (10**6,), (3,), ([2],)])
def test_a_spec_that_does_not_fit_is_refused(spec, saved):
    write_meta(saved, pickle.dumps(("Parameters", "/_0")), pickle.dumps((Layer, spec, "/layer/")))
    refused(saved)


@pytest.mark.parametrize("what", [("Parameters", "/_7"), ("LookupParameters", "/_0"), (Layer, (2, None), "/later/")])
def test_what_the_data_file_lacks_is_refused(what, saved):
    write_meta(saved, pickle.dumps(("Parameters", "/_0")), pickle.dumps(what))
    refused(saved)


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
