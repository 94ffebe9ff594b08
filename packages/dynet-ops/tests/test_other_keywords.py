"""Arguments that have different names in DyNet 2.1 and in its manual work under both names."""

import pytest

import dynet_ops as ops
from dynet_core import recorder


@pytest.mark.parametrize("op", [ops.pickrange, ops.pick_range])
def test_the_ends_of_a_range(op):
    x = ops.inputVector([1, 2, 3, 4])
    expected = [2.0, 3.0]
    for _ in range(4):  # the fourth call may be recorded from a template
        assert op(x, s=1, e=3).value() == op(x, e=3, s=1).value() == op(x, 1, e=3).value() == expected
        assert op(x=x, s=1, e=3, d=0).value() == op(x, v=1, e=3).value() == op(x, v=1, u=3).value() == expected
    with pytest.raises(TypeError, match=f"^{op.__name__}"):
        op(x, s=1, v=1, u=3)
    with pytest.raises(TypeError, match=f"^{op.__name__}"):
        op(x, 1, s=1)


def test_x_is_the_count_where_the_rate_is_given_otherwise():
    rate = ops.scalarInput(0.5)
    expected = ops.poisson_loss(rate, 2).value()
    for _ in range(4):
        assert (
            ops.poisson_loss(log_lambda=rate, x=2).value() == ops.poisson_loss(x=2, log_lambda=rate).value() == expected
        )
        assert ops.poisson_loss(rate, x=2).value() == ops.poisson_loss(x=rate, y=2).value() == expected
        assert ops.poisson_loss(log_lambda=rate, y=2).value() == expected
    with pytest.raises(TypeError, match=r"^poisson_loss\(\)"):
        ops.poisson_loss(log_lambda=rate)


def test_sum_dim_takes_n_and_ignores_it():
    x = ops.inputTensor([[1, 2], [3, 4]])
    assert ops.sum_dim(x, [0], False, 3).value() == ops.sum_dim(x, [0], n=2).value() == [4.0, 6.0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: ops.pickrange(x, s=1), "pickrange(): missing a required argument: 'u'"),
        (lambda x: ops.pickrange(x, s=1, v=1, u=2), "pickrange(): 's' is another name of 'v': give one of them"),
        (lambda x: ops.pickrange(x, 1, s=3), "pickrange(): multiple values for argument 'v'"),
        (lambda x: ops.poisson_loss(x, x=2, y=2), "poisson_loss(): 'x' is another name of 'y': give one of them"),
        (lambda x: ops.flip_gradient(x, 1.0), "flip_gradient(): takes 1 argument, x, but 2 were given"),
        pytest.param(
            lambda x: ops.transpose(x, [0], 3),
            "transpose(): takes 2 arguments, x, dims, but 3 were given",
            marks=pytest.mark.skipif(not recorder.HAS_TEMPLATES, reason="Python's own error: it is a Python function"),
        ),
    ],
)
def test_other_names_that_do_not_fit(call, message):
    with pytest.raises(TypeError) as caught:
        call(ops.inputVector([1.0, 2.0, 3.0]))
    assert str(caught.value) == message
