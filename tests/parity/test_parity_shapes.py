"""Parity of shapes: calls that DyNet 2.1 computes give equal results here, except those in docs/differences.md."""

import re
from pathlib import Path

import pytest
from shape_calls import CALLS

ROWS = (Path(__file__).resolve().parents[2] / "docs" / "differences.md").read_text(encoding="utf-8")
BATCHED = "batches in `sparsemax`"
IMAGES = "`filter1d_narrow`, `conv2d` with batched"
LOST = "`transpose` by fewer dimensions than x has"
MATRICES = "matrices as inputs of networks"
DIFFERENCES = [
    ("to_device", ".*", "`to_device("),
    # DyNet reads beyond a matrix that is not square: whether (4, 1) fails depends on what is in memory there.
    ("inverse", r"inverse \((4,|4, 1|1, 4|4, 2|2, 4)\)", "`inverse` of a matrix that is not square"),
    ("logsumexp_dim", r"logsumexp_dim 1 \(4, [12]\)(x2)?", "`logsumexp_dim(x, 1)` of more rows"),
    ("cumsum", r"cumsum 3 \(\d, \d, \d\)x2", "`cumsum` of a batch along the dimension behind the last of three"),
    ("transpose", r"transpose \(1, 1, .*[24]\)(x2)?", LOST),
    ("transpose by hand", r"transpose by hand \(1, 1, .*[24]\)(x2)?", LOST),
    ("transpose 1", r"transpose 1 \(1, .*4.*\)(x2)?|transpose 1 \(1, 1, 1, 2\)(x2)?", LOST),
    ("transpose 3", r"transpose 3 \(1, 1, 1, 2\)(x2)?", LOST),
    ("transpose 3 turned", r"transpose 3 turned \(1, 1, 1, 2\)(x2)?", LOST),
    ("fold_rows", r".*x2", BATCHED),
    ("fold_rows 1", r".*x2", BATCHED),
    ("fold_rows 4", r".*x2", BATCHED),
    # Whether DyNet fails at dimension 3 depends on what is in memory there.
    ("hinge_dim", r"hinge_dim [23] .*", "`hinge_dim` along a dimension that x lacks"),
    ("cdiv", r"cdiv \([14],\)(x2)?, \([14], [24](, 1)?\)(x2)?", "broadcasting on the left"),
    ("constrained_softmax", r".*x2", BATCHED),
    ("constrained_softmax", r"\S+ (\(1\D.*\), \(4,.*|\(4\D.*\), \(1,.*)", "`constrained_softmax` with more bounds"),
    ("filter1d_narrow", r".*x2.*", IMAGES),
    ("filter1d_narrow", r".*\(3, 2, 2, 1\)", "`filter1d_narrow` with filters of four dimensions"),
    ("contract3d_1d", r".*", "`contract3d_1d`"),
    (
        "affine_transform",
        r"affine_transform(, parameters)? \((1, 4|3, 2|3, 2, 1|4, 4)\).* \(\d,( 1)?(, 1)?\)(x2)?",
        "`affine_transform` with a bias of more columns",
    ),
    ("conv2d", r".*x2", IMAGES),
    ("conv2d, not valid", r".*x2", IMAGES),
    ("conv2d_bias", r".*x2.*", IMAGES),
    ("networks", r".*Builder \(4, 2\)(x2)?", MATRICES),
    ("softmax builders", r".* \(4, 2\)(x2)?", MATRICES),
]
"""The op, which of its calls differ, and how the topic in docs/differences.md begins."""
NO_OPS = """
    available_devices cg cg_checkpoint cg_revert cg_version dump_cg forward get_device_info init init_from_params
    inputMatrix load load_generator matInput npvalues print_graphviz print_text_graphviz renew_cg reset_random_seed save
    values
""".split()


@pytest.fixture(scope="module")
def results(both):
    return both("shapes.py")


@pytest.fixture(scope="module")
def differs(results, assert_close):
    """Whether a call that DyNet computes has another result here: the documented difference, or None."""

    def of_call(op, name):
        ours, reference = results.ours[op][name], results.reference[op][name]
        if "error" in reference:
            return None
        try:
            assert_close(ours, reference, rtol=1e-4, atol=1e-4, path=name)
        except AssertionError:
            return f"{name} is {str(ours):.120}, not {str(reference):.120}"
        return None

    return of_call


@pytest.mark.parametrize("op", CALLS)
def test_calls_agree(op, differs):
    listed = [pattern for name, pattern, _ in DIFFERENCES if name == op]
    names = [name for name in CALLS[op] if not any(re.fullmatch(pattern, name) for pattern in listed)]
    assert [found for name in names if (found := differs(op, name))] == []


@pytest.mark.parametrize(("op", "pattern", "topic"), DIFFERENCES)
def test_a_difference_is_listed_and_is_one(op, pattern, topic, differs):
    assert f"\n| {topic}" in ROWS
    assert any(differs(op, name) for name in CALLS[op] if re.fullmatch(pattern, name))


def test_no_op_is_forgotten(results):
    """Every DyNet function is in some call."""
    text = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("scripts/shape_calls*.py"))
    called = set(re.findall(r"\w+", text))
    assert [name for name in results.reference["functions"] if name not in {*called, *NO_OPS}] == []


def test_most_calls_are_computed(results):
    """Errors hide nothing: what is computed there is also computed here."""
    computed = [result for op in CALLS for result in results.reference[op].values() if "error" not in result]
    assert len(computed) > 14_000
