"""Errors for names from other frameworks, such as `dy.relu`, and for misspelled names."""

import re
import subprocess
import sys
import types

import pytest

import dynet as dy
from dynet import _other_names
from dynet_core.messages.hints import HINTS as TABLE

OTHERS = {
    "relu": "dy.rectify",
    "sigmoid": "dy.logistic",
    "concat": "dy.concatenate",
    "mean": "dy.mean_elems, dy.mean_dim or dy.average",
    "sum": "dy.sum_elems, dy.sum_dim or dy.esum",
    "stack": "dy.concatenate_cols or dy.concatenate_to_batch",
    "mm": "dy.matmul",
    "Adam": "dy.AdamTrainer",
    "Linear": "dy.affine_transform([b, W, x]), with W and b from model.add_parameters",
}
USES = {
    "a call": lambda x: x(1, other=2),
    "a subscript": lambda x: x[0],
    "a member": lambda x: x.functional,
    "a loop": list,
    "a base class": lambda x: type("Own", types.resolve_bases((x,)), {}),
    "isinstance": lambda x: isinstance(1, x),
    "issubclass": lambda x: issubclass(int, x),
    "a with statement": lambda x: x.__enter__(),
    "a sum": lambda x: x + 1,
    "a product from the right": lambda x: 2 * x,
    "an annotation": lambda x: x | None,
    "a number": float,
    "an index": lambda x: [1, 2][x],
    "a format": lambda x: f"{x:.3f}",
}


@pytest.mark.parametrize(("name", "use"), OTHERS.items())
def test_a_name_of_another_library(name, use):
    for used in USES.values():
        with pytest.raises(AttributeError) as raised:
            used(getattr(dy, name))
        assert str(raised.value) == f"module 'dynet' has no attribute {name!r}: use {use}"
    with pytest.raises(AttributeError):
        getattr(dy, name).functional = 1
    assert repr(getattr(dy, name)) == f"<no attribute of dynet: use {use}>"
    assert getattr(dy, name).__doc__ == f"No attribute of dynet: use {use}."


def test_names_of_other_libraries_are_not_public():
    names = {*TABLE["ops"], *TABLE["dy"]}
    assert not names & {*dir(dy)} and not names & {*dy._PUBLIC}
    assert not [name for name in ("__wrapped__", "__file__", "__len__") if hasattr(dy.relu, name)]


def test_a_program_may_have_such_a_name(monkeypatch):
    monkeypatch.setattr(dy, "gelu", lambda x: 7)
    assert dy.gelu(1) == 7


MISSPELT = {
    "tahn": "dy.tanh",
    "adamtrainer": "dy.AdamTrainer",
    "ParameterCollections": "dy.ParameterCollection",
    "logSoftmax": "dy.log_softmax",
    "renewCG": "dy.renew_cg",
}


@pytest.mark.parametrize(("name", "use"), MISSPELT.items())
def test_a_misspelt_name(name, use):
    """If all packages are installed, Python suggests a name; otherwise the message does."""
    with pytest.raises(AttributeError, match=f"^module 'dynet' has no attribute '{name}'$"):
        getattr(dy, name)
    assert _other_names.message(name, dy._PUBLIC, "3") == f"module 'dynet' has no attribute {name!r}: use {use}"
    done = subprocess.run([sys.executable, "-c", f"import dynet as dy; dy.{name}"], capture_output=True, text=True)
    if name != "tahn":  # Python considers "tan" closer
        assert f"Did you mean: '{use.removeprefix('dy.')}'?" in done.stderr


def test_names_are_read_as_quickly_as_those_of_other_modules():
    """CPython is slow to read the names of a module that has a function `__getattr__`."""
    assert "__getattr__" not in vars(dy)


@pytest.mark.parametrize("name", ["NoSuchBuilder", "qqq", "__wrapped__", "_repr_html_"])
def test_a_name_like_no_other(name):
    with pytest.raises(AttributeError, match=f"^module 'dynet' has no attribute '{name}'$"):
        getattr(dy, name)


@pytest.mark.parametrize("name", [*TABLE["ops"], *TABLE["dy"]])
def test_the_table_names_what_is_there_for_what_is_not(name):
    assert name not in dy._PUBLIC
    assert not (name in TABLE["ops"] and name in TABLE["dy"])
    names = TABLE["ops"].get(name, "").split()
    use = TABLE["dy"].get(name) or " or ".join(", ".join(f"dy.{each}" for each in names).rsplit(", ", 1))
    assert [each for each in names if each not in dy._PUBLIC] == []
    assert [each for each in re.findall(r"\bdy\.(\w+)", use) if each not in dy._PUBLIC] == []
    with pytest.raises(AttributeError) as caught:
        getattr(dy, name)()
    assert str(caught.value) == f"module 'dynet' has no attribute {name!r}: use {use}"
    assert _other_names.message(name, dy._PUBLIC, "3") == str(caught.value)


def test_dir_has_the_public_names_and_no_modules_of_ours():
    modules = {"_dynet", "_installation", "_other_names", "dynet_core", "dynet_ops", "dynet_rnn", "dynet_optim"}
    assert {*dy._PUBLIC} <= {*dir(dy)}
    assert {*dir(dy)} & modules == set()
    assert [name for name in dir(dy) if name not in dy._PUBLIC and not name.startswith("__")] == []


def test_dir_of_a_graph_has_the_names_of_the_manual_and_of_2_1():
    names = {name for name in dir(dy.cg()) if not name.startswith("__")}
    assert names == set(
        """backward checkpoint dump forward forward_scalar forward_vec inc_forward inc_forward_scalar inc_forward_vec
        inputMatrixLiteral inputSparseTensor parameters print_graphviz renew revert version""".split()
    )


def test_an_initializer_of_another_library_has_its_hint():
    with pytest.raises(TypeError, match="no attribute of dynet: use dy.SaxeInitializer"):
        dy.ParameterCollection().add_parameters((3, 3), init=dy.orthogonal)
