"""Matrix products with factors rounded to TF32 or bfloat16, if requested, on the emulated GPU."""

import emulation
import numpy as np
import pytest

import dynet as dy
from dynet_core.compute import device
from dynet_core.config import DynetParams

SHAPES = [(1, 1, 1), (16, 8, 8), (33, 9, 17), (64, 16, 32), (70, 33, 65)]  # rows, inner, columns


FORMATS = ["tf32", "bf16"]


def rounded(x, format):
    """Round to ten bits of mantissa, ties away from zero; or, for bfloat16, to seven, ties to even."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    if format == "bf16":
        bits = (bits + 0x7FFF + (bits >> 16 & 1)) & np.uint32(0xFFFF0000)
    else:
        bits = (bits + 0x1000) & np.uint32(0xFFFFE000)
    return bits.view(np.float32).astype(np.float64)


def product_and_gradients(w, x, start, weights):
    """W x + start, and the gradients of W and x for a weighted sum."""
    dy.renew_cg()
    left, right = dy.inputTensor(w), dy.inputTensor(x)
    y = dy.colwise_add(left * right, dy.inputVector(start))
    dy.sum_elems(dy.cmult(y, dy.inputTensor(weights))).backward(full=True)
    return [y.npvalue().reshape(weights.shape), left.gradient().reshape(w.shape), right.gradient().reshape(x.shape)]


@pytest.mark.parametrize("order", ["forward", "backward"])
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("rows, inner, columns", SHAPES)
def test_factors_are_rounded_and_sums_are_not(emulated, rows, inner, columns, format, order):
    rng = np.random.default_rng(rows)
    w, x, weights = (rng.normal(size=s).astype(np.float32) for s in ((rows, inner), (inner, columns), (rows, columns)))
    start = rng.normal(size=rows).astype(np.float32)
    with device.using(0, **{format: True}), emulation.order(order):
        found = product_and_gradients(w, x, start, weights)
    a, b, d = (rounded(factor, format) for factor in (w, x, weights))
    for actual, expected in zip(found, [a @ b + start[:, None], d @ b.T, a.T @ d]):
        np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
    with device.using(0), emulation.order(order):
        exact = product_and_gradients(w, x, start, weights)
    for actual, expected in zip(found, exact):
        assert (
            np.abs(actual - expected).max()
            <= {"tf32": 2e-3, "bf16": 1e-2}[format] * np.sqrt(inner + columns + rows) * np.abs(expected).max()
        )
    assert any((actual != expected).any() for actual, expected in zip(found, exact)), "nothing was rounded"


@pytest.mark.parametrize("format", FORMATS)
def test_each_matrix_of_a_batch_has_its_product(emulated, format):
    rng = np.random.default_rng(1)
    w, x = rng.normal(size=(20, 5, 3)).astype(np.float32), rng.normal(size=(5, 2, 3)).astype(np.float32)
    with device.using(0, **{format: True}):
        dy.renew_cg()
        y = (dy.inputTensor(w, batched=True) * dy.inputTensor(x, batched=True)).npvalue()
    np.testing.assert_allclose(
        y, np.einsum("ikb,kjb->ijb", rounded(w, format), rounded(x, format)), rtol=1e-4, atol=1e-5
    )


def test_products_are_exact_unless_asked_otherwise(emulated):
    x = np.float32(1 + 2**-12)
    for formats, expected in (({}, x), ({"tf32": True}, 1.0), ({"bf16": True}, 1.0)):
        with device.using(0, **formats):
            assert (dy.inputTensor([[1.0]]) * dy.inputTensor([[x]])).value() == expected
    with pytest.warns(RuntimeWarning, match="TF32 was asked for, but it is for GPUs, and the CPU is in use"):
        with device.using(None, tf32=True):
            assert (dy.inputTensor([[1.0]]) * dy.inputTensor([[x]])).value() == x


@pytest.mark.parametrize("format, name", [("tf32", "TF32"), ("bf16", "bfloat16")])
def test_an_older_gpu_is_refused(emulated, monkeypatch, format, name):
    monkeypatch.setitem(vars(device._open(0)), "arch", "sm_75")
    message = f"{name} was asked for, but GPU:0 is sm_75, and {name} needs sm_80 or later"
    with pytest.raises(dy.DeviceError, match=message):
        with device.using(0, **{format: True}):
            pass
    assert device.name() == "CPU"


def test_emulation_is_for_the_cpu(emulated):
    with pytest.raises(dy.ArgumentError, match="bf16='emulate' is for the CPU; on a GPU use bf16=True"):
        with device.using(0, bf16="emulate"):
            pass
    assert device.name() == "CPU"


def test_the_command_line_asks_for_it(monkeypatch):
    asked = []
    monkeypatch.setattr(device, "choose", asked.append)
    monkeypatch.setattr(device, "round_factors", lambda tf32, bf16: asked.append((tf32, bf16)))
    for arguments in (["--dynet-tf32"], ["--dynet-gpu"], ["--dynet-gpu", "--dynet-tf32"], ["--dynet-bf16"]):
        params = DynetParams()
        params.read(arguments)
        params.init()
    assert asked == [(True, False), 0, (False, False), 0, (True, False), (False, True)]


@pytest.mark.parametrize("rows, inner, columns", SHAPES[1:])
def test_quantized_matrices_give_the_same_as_on_the_cpu(emulated, rows, inner, columns):
    rng = np.random.default_rng(rows)
    w, x, b = (rng.normal(size=size).astype("f") for size in ((rows, inner), (inner, columns), (rows,)))

    def values(gpu):
        with device.using(gpu):
            model = dy.ParameterCollection()
            W, bias, table = *map(model.parameters_from_numpy, (w, b)), model.lookup_parameters_from_numpy(w)
            model.quantize()
            dy.renew_cg()
            y = dy.affine_transform([bias, W, dy.inputTensor(x)]).npvalue()
            single = (W * dy.inputTensor(x[:, 0])).npvalue()
            W.set_value(2 * w)
            dy.renew_cg()
            return y, single, (W * dy.inputTensor(x)).npvalue(), W.as_array(), table[1].npvalue()

    for on_gpu, on_cpu in zip(values(0), values(None)):
        np.testing.assert_allclose(on_gpu, on_cpu, rtol=1e-5, atol=1e-5 * np.abs(on_cpu).max())
