"""Rules: the reductions (sums and extremes) in formulas, which run before the code that reads them."""

import pytest

from dynet_kernels import formula as f
from dynet_kernels.families.rules import Rule
from dynet_kernels.formula import Formula


def key(function) -> str:
    return Formula.of(function).key


def reductions_of(rule: Rule) -> list[tuple]:
    return [(name, one.combine, one.formula.key, one.kept_in) for name, one in rule.reductions.items()]


def test_a_rule_without_reductions_is_as_it_was_written():
    rule = Rule(("y", "x"), {"y": lambda x: 1 * x + 0 * x})
    assert reductions_of(rule) == []
    assert rule.outputs["y"].key == Formula.of(lambda x: 1 * x + 0 * x).key


def test_reductions_run_before_what_reads_them():
    def deviation(x):
        mean = f.sum(x) / f.sum(1.0)
        return f.sqrt(f.sum((x - mean) * (x - mean)))

    rule = Rule(("y", "x"), {"y": deviation}, numbers=("y",))
    assert reductions_of(rule) == [
        ("sum_0", "sum", key(lambda x: x), ""),
        ("sum_1", "sum", key(lambda: 1.0), ""),
        ("sum_2", "sum", key(lambda x, sum_0, sum_1: (x - sum_0 / sum_1) * (x - sum_0 / sum_1)), ""),
    ]
    assert rule.outputs["y"].key == key(lambda sum_2: f.sqrt(sum_2))
    assert rule.outputs["y"].names == ("sum_2",)
    assert rule.reads == {"x"}


def softmax(x):
    e = f.exp(x - f.max(x))
    return e / f.sum(e)


def test_what_was_reduced_and_is_read_again_is_kept_in_the_result():
    rule = Rule(("y", "x"), {"y": softmax})
    shifted = key(lambda x, max_0: f.exp(x - max_0))
    assert reductions_of(rule) == [("max_0", "max", key(lambda x: x), ""), ("sum_1", "sum", shifted, "y")]
    assert rule.outputs["y"].key == key(lambda y, sum_1: y / sum_1)


@pytest.mark.parametrize("facts", [{"accumulate": ("y",)}, {"numbers": ("y",)}])
def test_nothing_is_kept_where_there_is_no_room(facts):
    rule = Rule(("y", "x"), {"y": softmax}, **facts)
    assert [one.kept_in for one in rule.reductions.values()] == ["", ""]
    gradient = Rule(("y", "x"), {"dx": lambda y, dy: dy * f.exp(y) + f.sum(f.exp(y))})
    assert [one.kept_in for one in gradient.reductions.values()] == [""]


def test_outputs_share_their_reductions():
    rule = Rule(("y", "a", "b"), {"da": lambda b, dy: b * f.sum(dy * dy), "db": lambda dy: f.sum(dy * dy)})
    assert len(rule.reductions) == 1
    assert [one.names for one in rule.outputs.values()] == [("b", "sum_0"), ("sum_0",)]


def test_reductions_that_do_not_need_each_other_run_together():
    def deviation(x):
        mean = f.sum(x) / f.sum(2.0)
        return f.sum((x - mean) * (x - mean)) + f.max(x) + f.sum(x * f.first(x))

    rule = Rule(("y", "x"), {"y": deviation}, numbers=("y",))
    assert rule.summed_constants == {"sum_1": 2.0}
    assert [[*one] for one in rule.loops] == [["sum_0", "max_3", "sum_4"], ["sum_2"]]


def test_only_an_input_has_a_first_element():
    with pytest.raises(TypeError, match="first: .* is not an input"):
        Rule(("y", "x"), {"y": lambda x: f.first(x + 1)})


@pytest.mark.parametrize("views", [("y", "x", "dx"), ("y", "x", "y"), ("y", "dy"), ("dx", "y", "x")])
def test_a_name_that_comes_twice_is_refused(views):
    with pytest.raises(ValueError, match="and their gradients d... have a name in common"):
        Rule(views, {"y": lambda: 0.0})
