"""Invalid arguments of initializers are refused."""

import math

import numpy as np
import pytest

from dynet_core import ArgumentTypeError, DynetError, reset_random_seed
from dynet_core.initializer import (
    ConstInitializer,
    GlorotInitializer,
    IdentityInitializer,
    InitializerError,
    NormalInitializer,
    NumpyInitializer,
    SaxeInitializer,
    UniformInitializer,
    initializer_from,
)
from dynet_core.random.random_stream import InitialStream, stream


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NormalInitializer(0, -1), "NormalInitializer: var must be 0 or more but got -1"),
        (lambda: NormalInitializer(math.nan), "mean must be a finite float32, not nan"),
        (lambda: NormalInitializer(var=math.inf), "var must be a finite float32, not inf"),
        (lambda: NormalInitializer(1e39), "mean must be a finite float32"),
        (lambda: UniformInitializer(0), "UniformInitializer: scale must be above 0 but got 0"),
        (lambda: UniformInitializer(-1), "scale must be 0 or more but got -1"),
        (lambda: UniformInitializer(math.nan), "not nan"),
        (lambda: GlorotInitializer(gain=-0.5), "gain must be 0 or more but got -0.5"),
        (lambda: GlorotInitializer(gain=math.nan), "not nan"),
        (lambda: SaxeInitializer(-1), "scale must be 0 or more"),
        (lambda: ConstInitializer(math.nan), "ConstInitializer: c must be a float32, not nan"),
        (lambda: ConstInitializer(10**400), "ConstInitializer: c must be a float32"),
        (lambda: NumpyInitializer(np.ones(2, complex)), "expected real numbers, got ndarray array\\(\\[1"),
        (lambda: NumpyInitializer(np.array([1, None])), "expected real numbers, got ndarray array\\(\\[1, None"),
        (lambda: NumpyInitializer(np.array(["1"])), "expected real numbers, got ndarray"),
        (lambda: NumpyInitializer("glorot"), "expected real numbers, got str 'glorot'"),
        (lambda: NumpyInitializer([[1, 2], [3]]), "rows of the list differ in length"),
        (lambda: NumpyInitializer([1e300]), "float32 cannot hold"),
        (lambda: initializer_from("xavier", (2,)), "init is 'xavier', which is none of 'glorot', 'he'"),
        (lambda: initializer_from("Glorot", (2,)), "init is 'Glorot'"),
        (lambda: initializer_from("normal", (2,), std=-1), "std must be 0 or more but got -1"),
        (lambda: initializer_from("uniform", (2,), scale=0), "scale must be above 0"),
        (
            lambda: initializer_from("he", (9,), lookup=True),
            "lookup parameter have no dimension",
        ),
    ],
)
def test_refused_values(make, message):
    with pytest.raises(InitializerError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NormalInitializer("0"), "NormalInitializer: mean must be a number but got '0'"),
        (lambda: UniformInitializer(None), "scale must be a number but got None"),
        (lambda: ConstInitializer(1j), "c must be a number but got 1j"),
        (lambda: initializer_from("normal", (2,), std="1"), "std must be a number but got '1'"),
        (lambda: initializer_from(object(), (2,)), "init must be None, an initializer, a number"),
        (lambda: initializer_from(b"glorot", (2,)), "but got bytes"),
        (lambda: initializer_from(GlorotInitializer, (2,)), "pass an instance, GlorotInitializer"),
    ],
)
def test_refused_types(make, message):
    with pytest.raises(TypeError, match=message):
        make()


@pytest.mark.parametrize(
    ("init", "dim", "message"),
    [
        (NumpyInitializer(np.zeros((3, 4))), (4, 3), r"array is \(3, 4\), the parameter is \(4, 3\)"),
        (NumpyInitializer(np.zeros(12)), (4, 3), r"array is \(12,\), the parameter is \(4, 3\)"),
        (NumpyInitializer(np.zeros((1, 4, 3))), (3, 4), r"array is \(1, 4, 3\), the parameter is \(3, 4\)"),
        (IdentityInitializer(), (3, 4), r"must be a square matrix but it is \(3, 4\)"),
        (IdentityInitializer(), (3,), "must be a square matrix"),
        (IdentityInitializer(), (3, 3, 3), "must be a square matrix"),
        (SaxeInitializer(), (3, 4), "SaxeInitializer: the parameter must be a square matrix"),
        (GlorotInitializer(is_lookup=True), (5,), "leaves no dimension to count"),
        (GlorotInitializer(), (), "dimensions must be 0 or more"),
        (ConstInitializer(1), (-1, 2), "dimensions must be 0 or more"),
    ],
)
@pytest.mark.parametrize("is_lookup", [False, True])
def test_initializers_that_do_not_fit(init, dim, message, is_lookup):
    reset_random_seed(2)
    with pytest.raises(InitializerError, match=message if not is_lookup else None):
        init.values(dim, is_lookup)
    np.testing.assert_array_equal(stream().uniform(0, 1, 1), InitialStream(2).uniform(0, 1, 1), strict=True)


def test_errors_are_of_the_librarys_kinds():
    assert issubclass(InitializerError, DynetError) and issubclass(InitializerError, ValueError)
    with pytest.raises(ArgumentTypeError):
        UniformInitializer("x")
