"""What `dy.relu` and its like say: names of other frameworks, and misspelled ones."""

import re

import pytest

import dynet as dy
from dynet import _other_names
from dynet._other_names import PARTS
from dynet_ops.other_names import OPERATIONS


@pytest.mark.parametrize(
    ("name", "use"),
    [
        ("relu", "dy.rectify"),
        ("sigmoid", "dy.logistic"),
        ("concat", "dy.concatenate"),
        ("mean", "dy.mean_elems, dy.mean_dim or dy.average"),
        ("sum", "dy.sum_elems, dy.sum_dim or dy.esum"),
        ("stack", "dy.concatenate_cols or dy.concatenate_to_batch"),
        ("mm", "dy.matmul"),
        ("Adam", "dy.AdamTrainer"),
        ("Linear", "dy.affine_transform([b, W, x]), where W and b come from model.add_parameters"),
        # by their spelling
        ("tahn", "dy.tanh"),
        ("adamtrainer", "dy.AdamTrainer"),
        ("ParameterCollections", "dy.ParameterCollection"),
        ("logSoftmax", "dy.log_softmax"),
        ("renewCG", "dy.renew_cg"),
    ],
)
def test_a_name_that_does_not_exist(name, use):
    with pytest.raises(AttributeError) as raised:
        getattr(dy, name)
    assert str(raised.value) == f"module 'dynet' has no attribute {name!r}: use {use}"


@pytest.mark.parametrize("name", ["NoSuchBuilder", "qqq", "__wrapped__", "_repr_html_"])
def test_a_name_like_no_other(name):
    with pytest.raises(AttributeError, match=f"^module 'dynet' has no attribute '{name}'$"):
        getattr(dy, name)


@pytest.mark.parametrize("name", [*OPERATIONS, *PARTS])
def test_the_tables_name_what_is_there_for_what_is_not(name):
    assert name not in dy.__all__
    assert not (name in OPERATIONS and name in PARTS)
    use = _other_names.hint(name, dy.__all__)
    assert [each for each in OPERATIONS.get(name, "").split() if each not in dy.__all__] == []
    assert [each for each in re.findall(r"\bdy\.(\w+)", use) if each not in dy.__all__] == []
    assert use


def test_dir_has_the_public_names_and_no_modules_of_ours():
    modules = {"_dynet_names", "_installation", "_other_names", "dynet_core", "dynet_ops", "dynet_rnn", "dynet_optim"}
    assert {*dy.__all__} <= {*dir(dy)}
    assert {*dir(dy)} & modules == set()
    assert [name for name in dir(dy) if name not in dy.__all__ and not name.startswith("__")] == []


def test_dir_of_a_graph_has_the_names_of_the_manual_and_of_2_1():
    names = {name for name in dir(dy.cg()) if not name.startswith("__")}
    assert names == set(
        """backward checkpoint dump forward forward_scalar forward_vec inc_forward inc_forward_scalar inc_forward_vec
        inputMatrixLiteral inputSparseTensor parameters print_graphviz renew revert version""".split()
    )
