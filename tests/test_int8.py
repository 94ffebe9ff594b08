"""Quantized parameters: int8s and scales, for inference."""

import copy
import gc
import inspect
import os
import pickle
import random
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

import dynet as dy
from dynet_core import errors, recorder
from dynet_core.compute import device
from dynet_core.dim import Dim
from dynet_core.graph.record import node
from dynet_core.parameter.storage import Storage
from dynet_core.signature import Signature, Step, View
from dynet_kernels import target
from dynet_kernels.layout import SELF
from dynet_kernels.machine import sharing


def rounded(matrix):
    """Return the scales of rows, and numbers from -127 to 127, as float32."""
    scales = np.abs(matrix).max(1, initial=0) / np.float32(127)
    scales = (scales.view("u4") & 0xFFFFFF80).view("f4")
    return scales, np.rint(matrix / np.where(scales > 0, scales, np.float32(np.inf))[:, None])


def product(matrix, columns):
    """Return a product with a quantized matrix, in float64."""
    scales, numbers = rounded(matrix)
    largest = np.abs(columns).max(0)
    inverse = np.where(largest < 1e-30, 0, np.float32(127) / np.maximum(largest, np.float32(1e-30)))
    return numbers.astype("f8") @ np.rint(columns * inverse) * scales[:, None] * (largest.astype("f8") / 127)


def model_of(*arrays):
    model = dy.ParameterCollection()
    return model, [model.parameters_from_numpy(array) for array in arrays]


SIZES = [
    (1, 2, 1), (3, 5, 2), (32, 16, 1), (33, 17, 9), (100, 50, 3), (200, 50, 25), (64, 300, 64), (31, 33, 8),
    (257, 4096, 2), (9, 4097, 17), (70, 9000, 3),
]  # fmt: skip


@pytest.mark.parametrize("rows, inner, columns", SIZES)
def test_products(rows, inner, columns):
    rng = np.random.default_rng(rows)
    w, b = rng.normal(size=(rows, inner)).astype("f"), rng.normal(size=rows).astype("f")
    x = (rng.normal(size=(inner, columns)) * np.exp(3 * rng.normal(size=columns))).astype("f")
    model, (W, bias) = model_of(w, b)
    model.quantize()
    scales, numbers = rounded(w)
    np.testing.assert_array_equal(W.as_array(dtype="f"), (numbers * scales[:, None]).astype("f"))
    dy.renew_cg()
    each = [dy.affine_transform([bias, W, dy.inputTensor(column)]) for column in x.T]
    found = np.stack([y.npvalue() for y in each], 1)
    expected = product(w, x)
    np.testing.assert_allclose(found, expected + b[:, None], rtol=1e-5, atol=1e-6 * np.abs(expected).max())
    # A value does not depend on its company.
    dy.renew_cg()
    together = dy.affine_transform([bias, W, dy.inputTensor(x)])
    np.testing.assert_array_equal(together.npvalue().reshape(rows, columns), found)


def test_threads_give_the_same_bits():
    rng = np.random.default_rng(0)
    model, (W,) = model_of(rng.normal(size=(300, 500)).astype("f"))
    model.quantize()
    x, found = rng.normal(size=(500, 70)), []
    for count in (1, 2, 3):
        with sharing.using(count, 0, 0):
            dy.renew_cg()
            found.append((W * dy.inputTensor(x)).npvalue())
    assert found[0].tobytes() == found[1].tobytes() == found[2].tobytes()


def test_numbers_that_are_not_finite():
    model, (W,) = model_of(np.ones((2, 20)))
    model.quantize()
    dy.renew_cg()
    columns = np.ones((20, 5))
    columns[3, 0], columns[19, 1], columns[:, 2], columns[:, 3] = np.nan, -np.inf, 0, 1e-40
    values = (W * dy.inputTensor(columns)).npvalue()
    assert np.isnan(values[:, :2]).all()
    np.testing.assert_array_equal(values[:, 2:4], 0)
    np.testing.assert_allclose(values[:, 4], 20, rtol=1e-5)
    largest = np.finfo("f").max
    model, (W,) = model_of([[largest, -largest, 1], [1e-31, 1e-40, 0]])
    model.quantize()
    np.testing.assert_allclose(W.as_array(), [[largest, -largest, 0], [0, 0, 0]], rtol=1e-4)


KINDS = [kind for kind in ("avx512_bf16", "avx512", "avx2") if kind in [t.kind for t in target.host_general_targets()]]
PRINTED = """
import numpy as np, dynet as dy
rng = np.random.default_rng(0)
model = dy.ParameterCollection()
W = model.parameters_from_numpy(rng.normal(size=(70, 333)))
E = model.lookup_parameters_from_numpy(rng.normal(size=(9, 50)))
model.quantize()
for count in (1, 2, 5, 40):
    dy.renew_cg()
    print((W * dy.inputTensor(rng.normal(size=(333, count)))).npvalue().tobytes().hex())
print(dy.concatenate([E[1], E[8]]).npvalue().tobytes().hex())
"""


@pytest.mark.skipif(not KINDS, reason="this CPU has no AVX2")
def test_all_instructions_give_the_same_bits():
    results = []
    for kind in ("native", *KINDS):
        environment = os.environ | {"DYNET_CPU": kind}
        result = subprocess.run([sys.executable, "-c", PRINTED], capture_output=True, text=True, env=environment)
        assert result.returncode == 0, result.stderr
        results.append(result.stdout)
    assert len(set(results)) == 1


BUILDERS = [
    dy.SimpleRNNBuilder, dy.GRUBuilder, dy.VanillaLSTMBuilder, dy.CoupledLSTMBuilder, dy.FastLSTMBuilder,
    dy.SparseLSTMBuilder,
]  # fmt: skip


@pytest.mark.parametrize("kind", BUILDERS)
@pytest.mark.parametrize("used_before", [False, True])
def test_builders(kind, used_before):
    dy.reset_random_seed(1)
    model = dy.ParameterCollection()
    table, builder = model.add_lookup_parameters((30, 20)), kind(2, 20, 24, model)
    if kind is dy.SparseLSTMBuilder:
        builder.set_sparsity(0.5)

    def outputs():
        dy.renew_cg()
        return np.stack([h.npvalue() for h in builder.initial_state().transduce([table[k] for k in (3, 4, 5, 3)])])

    expected = outputs() if used_before else None
    saved = [p.as_array() for p in model.parameters_list()]
    model.quantize()
    found = outputs()
    assert not used_before or 0 < np.abs(found - expected).max() < 0.02
    assert any((p.as_array() != before).any() for p, before in zip(model.parameters_list(), saved))
    np.testing.assert_array_equal(found, outputs())


def test_functions_and_graphs_made_before():
    model, (W, b) = model_of(np.random.default_rng(0).normal(size=(8, 12)), np.ones(8))

    @dy.function
    def layer(x):
        return dy.tanh(dy.affine_transform([b, W, x]))

    x = np.linspace(-1, 1, 12)
    dy.renew_cg()
    floats = [layer(dy.inputTensor(x)).npvalue() for _ in range(3)][0]
    constant = W.expr(False)
    y = constant * dy.inputTensor(x)
    before = y.npvalue()
    model.quantize()
    np.testing.assert_array_equal(y.npvalue(), before)  # values that have been computed stay, as with set_value
    assert 0 < np.abs((constant * dy.inputTensor(x)).npvalue() - before).max() < 0.1
    dy.renew_cg()
    found = layer(dy.inputTensor(x)).npvalue()
    assert 0 < np.abs(found - floats).max() < 0.05
    scales_and_rest = product(W.as_array(dtype="f"), x.astype("f")[:, None])[:, 0]
    np.testing.assert_allclose(found, np.tanh(scales_and_rest + 1), rtol=1e-5)


def test_operations_other_than_products_read_rounded_floats():
    w = np.random.default_rng(0).normal(size=(4, 6)).astype("f")
    model, (W, v, tensor) = model_of(w, w[0], w.reshape(4, 3, 2))
    model.quantize()
    scales, numbers = rounded(w)
    values = (numbers * scales[:, None]).astype("f")
    dy.renew_cg()
    np.testing.assert_array_equal(dy.transpose(W).npvalue(), values.T)
    np.testing.assert_array_equal((W + 0).npvalue(), values)
    np.testing.assert_array_equal(W.value(), values)
    np.testing.assert_array_equal(v.npvalue(), w[0])  # neither vectors nor other tensors change
    np.testing.assert_array_equal(tensor.npvalue(), w.reshape(4, 3, 2))
    x = dy.inputTensor(np.ones(6))
    y = dy.sum_elems(W * x)
    y.backward(full=True)
    np.testing.assert_allclose(x.gradient(), values.sum(0), rtol=1e-5)


def test_an_op_of_users_whose_matrix_is_a_node():
    """Only a parameter chooses the kernel of a product, although all columns share this matrix, too."""
    model, (W, x) = model_of(np.eye(3), np.ones(3))
    model.quantize()
    product_step = Step("product", (3, 3, 3, 2, 4, 0, -1, 0, 0))
    signature = Signature(Dim.of((3,)), views=[View(SELF), View(0), View(1)], forward=[product_step])
    dy.renew_cg()
    for matrix, factor in ((dy.tanh(W), np.tanh(1)), (W, 1)):
        np.testing.assert_allclose(node("*", signature, [matrix, x]).npvalue(), np.full(3, factor), rtol=1e-5)


def test_changes_are_rounded_too():
    model, (W,) = model_of(np.ones((2, 16)))
    table = model.add_lookup_parameters((3, 16))
    model.quantize()
    new = np.random.default_rng(0).normal(size=(2, 16)).astype("f")
    x = np.random.default_rng(1).normal(size=16).astype("f")

    def assert_is_product_with(w):
        dy.renew_cg()
        y = (W * dy.inputTensor(x)).npvalue()
        np.testing.assert_allclose(y, product(w, x[:, None])[:, 0], rtol=1e-5)

    assert_is_product_with(np.ones((2, 16), "f"))
    W.set_value(new)
    assert_is_product_with(new)
    W.scale(2)
    assert_is_product_with(2 * new)
    table.init_row(1, new[0])
    scales, numbers = rounded(new)
    np.testing.assert_array_equal(table.row_as_array(1, dtype="f"), (numbers[0] * scales[0]).astype("f"))
    with pytest.raises(errors.ArgumentError, match="not finite"):
        W.set_value(np.full((2, 16), np.nan))
    assert_is_product_with(2 * new)
    view = np.asarray(W)
    with pytest.raises(ValueError, match="read-only"):
        view[0, 0] = 3


def test_quantizing_again_changes_nothing():
    model, (W,) = model_of(np.random.default_rng(0).normal(size=(50, 70)))
    model.quantize()
    values = W.as_array()
    model.quantize()
    W.set_value(values)
    np.testing.assert_array_equal(W.as_array(), values)


def test_keep():
    rng = np.random.default_rng(0)
    model, (W, V) = model_of(rng.normal(size=(4, 5)), rng.normal(size=(4, 5)))
    builder, rest = dy.GRUBuilder(1, 3, 4, model), model.add_subcollection("rest")
    E = rest.add_lookup_parameters((3, 4))
    other = dy.ParameterCollection().add_parameters((2, 2))
    for wrong in ([other], [dy.ParameterCollection(), other], other):
        with pytest.raises(errors.ArgumentError, match="quantize: .* is not in"):
            model.quantize(keep=wrong)
    assert not any("int8" in repr(p) for p in model.parameters_list())
    model.quantize(keep=[V, builder, rest])
    assert [("int8" in repr(p)) for p in (W, V, E, *builder.get_parameters()[0])] == [True, *[False] * 11]
    assert str(model).count(" int8 ") == 1
    model.quantize(keep=W)
    assert "int8" in repr(V) and "int8" in repr(E)


@pytest.mark.parametrize("keep", [None, 5, "/_0", dy.ParameterCollection, [3.0], [dy.tanh], dy.scalarInput(1)])
def test_what_cannot_be_kept(keep):
    model, (W,) = model_of(np.ones((2, 3)))
    with pytest.raises(errors.ArgumentError, match="what is to be kept is a parameter, a collection or a builder, got"):
        model.quantize(keep=keep)
    with pytest.raises(errors.ArgumentError, match="which is to be kept, is not in"):
        model.quantize(keep=model_of(np.ones((2, 3)))[1])
    model.quantize(keep=dy.parameter(W, update=False))
    assert "int8" not in repr(W)


def test_a_builder_can_be_kept():
    model = dy.ParameterCollection()
    builder, W = dy.VanillaLSTMBuilder(1, 4, 4, model), model.add_parameters((3, 3))
    model.quantize(keep=builder)
    assert "int8" in repr(W) and "int8" not in repr(builder.get_parameters())


@pytest.mark.parametrize("has_updated", [False, True])
def test_training_is_refused(has_updated):
    model, (W, b) = model_of(np.ones((3, 4)), np.ones(3))
    trainer = dy.AdamTrainer(model)
    for _ in range(1 + has_updated):
        dy.renew_cg()
        dy.sum_elems(W * dy.inputTensor(np.ones(4)) + b).backward()
        if has_updated:
            trainer.update()
    before = b.as_array()
    model.quantize()
    for refused in (
        trainer.update, lambda: dy.SimpleSGDTrainer(model), lambda: W.set_updated(True),
        lambda: model.set_updated(True),
    ):  # fmt: skip
        with pytest.raises(errors.ArgumentError, match="/_0 is quantized to int8, which is for inference only"):
            refused()
    np.testing.assert_array_equal(b.as_array(), before)
    W.set_updated(False)
    model.set_updated(False)


def test_values_that_are_not_finite_are_refused():
    model, (V, W) = model_of(np.ones((2, 2)), [[1, np.inf], [0, 0]])
    with pytest.raises(errors.ArgumentError, match="/_1 is to be quantized, and has values that are not finite"):
        model.quantize()
    assert "int8" not in repr(V) + repr(W)

    @dy.function
    def inside(x):
        model.quantize()
        return x

    # The recorder in Python runs decorated functions as they are.
    with pytest.raises(errors.FunctionError if recorder.HAS_TEMPLATES else errors.ArgumentError):
        inside(dy.inputTensor([1]))


def test_files(tmp_path):
    rng = np.random.default_rng(0)
    model, (W, b) = model_of(rng.normal(size=(100, 64)), rng.normal(size=100))
    E = model.lookup_parameters_from_numpy(rng.normal(size=(50, 64)))
    path, small = str(tmp_path / "a.safetensors"), str(tmp_path / "b.safetensors")
    model.save(path)
    model.quantize()
    model.save(small)
    assert os.path.getsize(small) <= 0.29 * os.path.getsize(path)
    for load in (lambda: dy.ParameterCollection.from_file(small), lambda: loaded(dy.ParameterCollection(), small)):
        again = load()
        assert [repr(p) for p in again._all_parameters()] == [repr(p) for p in model._all_parameters()]
        for p, q in zip(again._all_parameters(), model._all_parameters()):
            np.testing.assert_array_equal(p.as_array(), q.as_array())
    floats, _ = model_of(np.ones((100, 64)), np.ones(100))
    F = floats.add_lookup_parameters((50, 64))
    floats.populate(small)
    np.testing.assert_array_equal(F.as_array(), E.as_array())
    assert "int8" in repr(F)
    floats.populate(path)  # floats are rounded
    np.testing.assert_array_equal(F.as_array(), E.as_array())
    with pytest.raises(errors.ArgumentError, match="text format cannot store"):
        model.save(str(tmp_path / "text"))
    assert not (tmp_path / "text").exists()
    with pytest.raises(errors.ArgumentError, match="two parameters are named"):
        clash = dy.ParameterCollection()
        clash.add_parameters((2, 9), name="W")
        clash.add_parameters(9, name="W:scales")
        clash.quantize()
        clash.save(str(tmp_path / "c.safetensors"))


def loaded(model, path):
    model.load(path)
    return model


def test_load_with_int8(tmp_path):
    model = dy.ParameterCollection()
    builder, E = dy.VanillaLSTMBuilder(1, 8, 9, model), model.add_lookup_parameters((4, 8))
    dy.save(str(tmp_path / "m"), [builder, E])
    other = dy.ParameterCollection()
    mine = other.add_parameters((3, 3))
    again, table = dy.load(str(tmp_path / "m"), other, int8=True)
    assert [("int8" in repr(p)) for p in (mine, table, *again.get_parameters()[0])] == [False, True, True, True, False]
    with pytest.raises(errors.ArgumentError, match="text format cannot store"):
        dy.save(str(tmp_path / "n"), [again])
    path = str(tmp_path / "n.safetensors")
    other.save(path, components=[again, table])
    third, _ = dy.ParameterCollection().load(path)
    np.testing.assert_array_equal(third.get_parameters()[0][0].as_array(), again.get_parameters()[0][0].as_array())
    assert "int8" in repr(third.get_parameters()[0][0])
    model.save(path, components=[builder])
    (fourth,) = dy.ParameterCollection().load(path, int8=True)
    assert "int8" in repr(fourth.get_parameters()[0][0])
    with pytest.raises(errors.ArgumentTypeError, match="int8"):
        dy.load(str(tmp_path / "m"), other, int8="yes")
    E.set_value(np.full((4, 8), np.nan))
    dy.save(str(tmp_path / "m"), [builder, E])
    count = len(other._all_parameters())
    with pytest.raises(errors.ArgumentError, match="not finite"):
        dy.load(str(tmp_path / "m"), other, int8=True)
    assert len(other._all_parameters()) == count


def test_damaged_files(tmp_path):
    import json

    model, (W,) = model_of(np.random.default_rng(0).normal(size=(4, 9)))
    model.quantize()
    path = tmp_path / "a.safetensors"
    model.save(str(path))
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    for change in (
        lambda h: h["__metadata__"].pop("dynet.int8"),
        lambda h: h["__metadata__"].update({"dynet.int8": '["/_1"]'}),
        lambda h: h["__metadata__"].update({"dynet.int8": "3"}),
        lambda h: h["/_0:scales"].update(shape=[2, 2]),
        lambda h: h["/_0:scales"].update(dtype="I32"),
        lambda h: h["/_0"].update(dtype="U8"),
        lambda h: h["/_0"].update(shape=[9, 4]),
        lambda h: h["/_0"].update(shape=[4, 3, 3]),
        lambda h: h["/_0"].update(shape=[36]),
        lambda h: h["/_0"].update(shape=[0, 5], data_offsets=[0, 0]),
    ):
        damaged = copy.deepcopy(header)
        change(damaged)
        text = json.dumps(damaged).encode()
        path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + size :])
        with pytest.raises(errors.FileFormatError):
            dy.ParameterCollection.from_file(str(path))
    scales = header["/_0:scales"]["data_offsets"][0] + 8 + size
    for bits in (b"\xff\xff\xff\x7f", b"\xff\xff\x7f\x7f"):  # NaN, the largest number
        path.write_bytes(content[:scales] + bits + content[scales + 4 :])
        with pytest.raises(errors.FileFormatError, match="a scale is too large, or not a number"):
            dy.ParameterCollection.from_file(str(path))


def test_damaged_scales_are_named(tmp_path):
    from safetensors.numpy import load_file, safe_open, save_file

    model, _ = model_of(np.random.default_rng(0).normal(size=(4, 9)))
    model.quantize()
    path = str(tmp_path / "a.safetensors")
    model.save(path)
    with safe_open(path, "np") as file:
        metadata = file.metadata()
    save_file(load_file(path) | {"/_0:scales": np.ones(3, "f")}, path, metadata)
    with pytest.raises(errors.FileFormatError, match=r"the scales of /_0 are \('F32', \[3\]\), expected .* \[4\]\)"):
        dy.ParameterCollection.from_file(path)


def test_a_file_that_is_not_finite_changes_nothing(tmp_path):
    path = str(tmp_path / "a.safetensors")
    model_of(np.full((2, 3), 7), np.full((2, 3), np.nan))[0].save(path)
    model, (V, W) = model_of(np.ones((2, 3)), np.ones((2, 3)))
    model.quantize()
    before = V.as_array()
    with pytest.raises(errors.FileFormatError, match="not all finite"):
        model.populate(path)
    np.testing.assert_array_equal(V.as_array(), before)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies(copied):
    model, (W,) = model_of(np.random.default_rng(0).normal(size=(4, 9)))
    model.quantize()
    again = copied(model).parameters_list()[0]
    assert "int8" in repr(again)
    dy.renew_cg()
    x = dy.inputTensor(np.arange(9))
    np.testing.assert_array_equal((again * x).npvalue(), (W * x).npvalue())


@pytest.mark.few(each=5)
@pytest.mark.parametrize("first", range(0, 1000, 100))
def test_random_graphs(first):
    dice = random.Random(first)
    for seed in range(first, first + 100):
        rng = np.random.default_rng(seed)
        sizes = [dice.randrange(2, 40) for _ in range(dice.randrange(2, 6))]
        weights = [rng.normal(size=(n, m)).astype("f") / m for m, n in zip(sizes, sizes[1:])]
        model, parameters = model_of(*weights)
        kept = [p for p in parameters if dice.random() < 0.3]
        model.quantize(keep=kept)
        dy.renew_cg()
        xs = rng.normal(size=(dice.randrange(1, 7), sizes[0])).astype("f")
        ys = []
        for x in xs:
            y = dy.inputTensor(x)
            for p in parameters:
                y = dy.tanh(p * y)
            ys.append(y)
        for x, y in zip(xs, [y.npvalue() for y in ys]):
            for w, p in zip(weights, parameters):
                z = w @ x if any(p is one for one in kept) else product(w, x[:, None])[:, 0]
                x = np.tanh(z).astype("f")
            # A factor may be rounded to a neighbouring number if it differs in its last bit.
            np.testing.assert_allclose(y, x, atol=0.02 * max(np.abs(x).max(), 1e-3))


@pytest.mark.parametrize("line", range(1, len(inspect.getsource(Storage.use_quantized).splitlines())))
def test_an_interrupt_leaves_no_half_of_a_change(line):
    """Raise at a line of the function that switches a parameter to its int8s."""
    w = np.random.default_rng(0).normal(size=(8, 16)).astype("f")
    model, (W,) = model_of(w)
    fixed = W.expr(False)  # it has a row of its own in the table of parameters
    code, x = Storage.use_quantized.__code__, np.ones(16)

    def trace(frame, event, _):
        if frame.f_code is code and event == "line" and frame.f_lineno == code.co_firstlineno + line:
            sys.settrace(None)
            raise KeyboardInterrupt
        return trace if frame.f_code is code else None

    with suppress(KeyboardInterrupt):
        sys.settrace(trace)
        model.quantize()
    sys.settrace(None)
    assert "int8" in repr(W) and not W.is_updated()
    dy.renew_cg()
    y, z = W * dy.inputTensor(x), fixed * dy.inputTensor(x)
    np.testing.assert_array_equal(y.npvalue(), z.npvalue())
    np.testing.assert_allclose(y.npvalue(), product(w, x[:, None].astype("f"))[:, 0], rtol=1e-6)
    W.set_value(np.ones((8, 16)))
    dy.renew_cg()
    assert (W * dy.inputTensor(x)).npvalue()[0] == pytest.approx(16)


INTERRUPTED = """
import signal, numpy as np, dynet as dy
rng = np.random.default_rng(0)
dy.renew_cg(); (dy.Model().add_parameters((2, 2)) * dy.inputTensor([1, 2])).value()
x, states = rng.normal(size=60), set()
class Stop(Exception): pass
def stop(*_): raise Stop
signal.signal(signal.SIGALRM, stop)
for turn in range(300):
    model = dy.ParameterCollection()
    parameters = [model.parameters_from_numpy(rng.normal(size=(60, 60)) / 8) for _ in range(8)]
    def value():
        dy.renew_cg()
        y = dy.inputTensor(x)
        for p in parameters:
            y = p * y
        return y.npvalue()
    floats = value()
    try:
        signal.setitimer(signal.ITIMER_REAL, 2e-5 + 1e-5 * turn)
        model.quantize()
        signal.setitimer(signal.ITIMER_REAL, 0)
    except Stop:
        states.add(sum("int8" in repr(p) for p in parameters))
        assert np.abs(value() - floats).max() < .2 * np.abs(floats).max()
        model.quantize()
    assert all("int8" in repr(p) for p in parameters)
    found = value()
    assert 0 < np.abs(found - floats).max() < .2 * np.abs(floats).max()
assert len(states) > 1, states
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the system has no timer signals")
def test_interrupts():
    result = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_memory_is_given_back():
    status = Path("/proc/self/statm")
    if not status.exists():
        pytest.skip("memory is known only on Linux")

    def pages():
        return int(status.read_text().split()[1])

    def make():
        model, (W,) = model_of(np.ones((1000, 500)))
        model.quantize()
        dy.renew_cg()
        (W * dy.inputTensor(np.ones(500))).value()

    for _ in range(3):
        make()
        gc.collect()
    before = pages()
    for _ in range(20):
        make()
        gc.collect()
    assert pages() - before < 3000  # 12 MB; one model takes 4.5


def test_the_plan_and_the_profile_name_int8(capsys):
    model, (W, V) = model_of(np.ones((4, 6)), np.ones((3, 4)))
    model.quantize(keep=V)
    dy.renew_cg()
    y = dy.sum_elems(V * dy.tanh(W * dy.inputTensor(np.ones(6))))
    dy.show_plan(y)
    plan = capsys.readouterr().out
    assert "int8_product: 1 column" in plan and "    product: 1 column" in plan and "sum_elems" in plan
    with dy.profile() as profile:
        y.value()
    assert "int8_product" in str(profile)


@pytest.mark.parametrize("zero_row", [False, True])
@pytest.mark.parametrize("made_before", [False, True])
@pytest.mark.parametrize("bf16", [True, "emulate"])
def test_with_bfloat16(bf16, made_before, zero_row):
    if bf16 is True and target.bfloat16_of_host()[0] is None:
        pytest.skip(target.bfloat16_of_host()[1])
    rng = np.random.default_rng(0)
    w, xs = rng.normal(size=(64, 80)).astype("f"), rng.normal(size=(40, 80)).astype("f")
    w[0] *= not zero_row
    if made_before:
        model, (W,) = model_of(w)
    with device.using(None, bf16=bf16):
        if not made_before:
            model, (W,) = model_of(w)
        for _ in range(2):
            dy.renew_cg()
            inputs = [dy.inputTensor(x) for x in xs]
            ys = [W * x for x in inputs]
            dy.esum([dy.sum_elems(y) for y in ys]).backward(full=True)
            if not model.parameters_list()[0].is_updated():
                found = np.stack([y.npvalue() for y in ys], 1)
                np.testing.assert_allclose(found, product(w, xs.T), rtol=1e-5, atol=1e-4)
                np.testing.assert_allclose(inputs[3].gradient(), W.as_array().sum(0), atol=0.2)
            model.quantize()
