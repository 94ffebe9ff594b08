"""Errors have the types that DyNet 2.1 raises, so that programs written for it catch them."""

import builtins

import pytest
import refusals
from original_refusals import REFUSALS

KINDS_ASIDE = {
    "AssertionError": "what it asserts is an argument's value or type, for which there are errors here",
    "AttributeError": "an accident: it asks what it is given for .encode, .shape, .spec or .set",
    "NotImplementedError": "what operators raise in Python where an operand is of a wrong type is TypeError",
}
NEGATIVE = "a negative count is a wrong value, as other wrong counts are"
ASIDE = {
    'm.add_parameters(3, init=dy.FromFileInitializer("/nowhere/file"))': "it takes no file name at all, but bytes",
    'p.set_value("a")': "what is no number is of a wrong type, wherever it is given",
    "dy.VanillaLSTMBuilder(-1, 2, 3, m)": NEGATIVE,
    "dy.VanillaLSTMBuilder(1, -2, 3, m)": NEGATIVE,
    "dy.DynetParams().set_random_seed(-1)": NEGATIVE,
    "dy.reset_random_seed(-1)": NEGATIVE,
    "dy.CoupledLSTMBuilder.from_spec((1, 2, 3, True, 1.0), m)": "specs of that length are read here, and this is wrong",
    "dy.reshape(x, 3.5)": "a single number is taken for a dimension here, and this is no whole one",
    'dy.DynetParams().set_mem("a")': 'a text such as "512" is taken here',
    'dy.DynetParams().from_config({"mem": 1})': "an accident: it looks for each key",
}


@pytest.mark.parametrize("call", REFUSALS)
def test_the_original_s_type_catches_it(call, tmp_path):
    names = refusals.setting(tmp_path)
    with pytest.raises(Exception) as caught:
        refusals.run(call, names)
    assert str(caught.value)
    kind = REFUSALS[call]
    if kind != "-":
        as_there = isinstance(caught.value, getattr(builtins, kind))
        assert as_there or kind in KINDS_ASIDE or call in ASIDE, f"it is {type(caught.value).__mro__}"
        assert not (as_there and call in ASIDE), "there is no reason to put it aside any more"


def test_the_table_is_large_and_holds_what_is_aside():
    assert sum(kind != "-" for kind in REFUSALS.values()) > 200
    assert ASIDE.keys() <= REFUSALS.keys() and KINDS_ASIDE.keys() <= {*REFUSALS.values()}
