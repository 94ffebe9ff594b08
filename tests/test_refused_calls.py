"""Errors for calls that earlier versions accepted although they did not do what they seem to say."""

import subprocess
import sys
import threading

import numpy as np
import pytest

import dynet as dy

# Parameters


@pytest.mark.parametrize("make", [dy.Parameters, dy.LookupParameters])
@pytest.mark.parametrize("count", [0, 1, 199, 201, 400])
def test_values_must_be_as_many_as_the_dimensions_hold(make, count):
    with pytest.raises(dy.ShapeError, match=rf"{make.__name__}: values of shape \({count},\) for \(2, 100\), .* 200"):
        make("a", (2, 100), np.zeros(count), None)
    assert make("a", (2, 100), np.zeros(200), None).as_array().size == 200


@pytest.mark.parametrize("make", [dy.Parameters, dy.LookupParameters])
@pytest.mark.parametrize(
    ("dims", "values", "error"),
    [
        ((-2, -5), np.zeros(10), dy.ArgumentError),
        ((2.5, 4), np.zeros(10), dy.ArgumentError),
        ((), np.zeros(1), dy.ArgumentError),
        (None, np.zeros(1), dy.ArgumentTypeError),
        ((2, 5), np.zeros((2, 5)), dy.ShapeError),
        ((2, 5), [None] * 10, dy.ArgumentTypeError),
        ((2, 5), None, dy.ArgumentTypeError),
        ((2, 5), 3, dy.ShapeError),
    ],
)
def test_dimensions_and_values_are_checked(make, dims, values, error):
    with pytest.raises(error, match=make.__name__):
        make("a", dims, values, None)


@pytest.mark.parametrize("make", [dy.Parameters, dy.LookupParameters])
def test_dimensions_are_whole_numbers_and_leave_shapes_as_they_are(make):
    assert make("a", (2.0, 7.0), [0.0] * 14, None).dim() == ((2, 7), 1)
    dy.renew_cg()
    p = dy.Model().parameters_from_numpy(np.ones((2, 7)))
    assert dy.sum_elems(p).value() == 14


def test_a_parameter_has_at_least_one_dimension():
    for add in (dy.Model().add_parameters, dy.Model().add_lookup_parameters):
        with pytest.raises(dy.ArgumentError, match=r"at least one dimension, got \(\); \(1,\) is a single number"):
            add(())


def test_initial_values_without_memory_are_named(monkeypatch):
    def values(*_, **__):
        raise MemoryError

    monkeypatch.setattr(dy.GlorotInitializer, "values", values)
    model = dy.Model()
    with pytest.raises(dy.OutOfMemoryError, match="initial values of 12 numbers"):
        model.add_parameters((3, 4))
    assert model.parameter_count() == 0


def test_files_that_are_not_there(tmp_path):
    for load in (lambda f: dy.load(f, dy.Model()), dy.Model().load, dy.Model().populate):
        with pytest.raises(dy.MissingFileError, match="nowhere"):
            load(str(tmp_path / "nowhere"))


@pytest.mark.parametrize("rows", [0, 1, 2, 4, 5])
def test_a_table_is_replaced_whole(rows):
    E = dy.Model().add_lookup_parameters((3, 2), init=7)
    for replace in (E.init_from_array, E.set_value, E.load_array):
        with pytest.raises(dy.ShapeError, match=rf"init_from_array: the array is \({rows}, 2\), .* \(3, 2\)"):
            replace(np.zeros((rows, 2)))
    assert (E.as_array() == 7).all()
    E.init_from_array(np.arange(6).reshape(3, 2))
    assert E.as_array().tolist() == [[0, 1], [2, 3], [4, 5]]


@pytest.mark.parametrize("number", [2, 3, 100, np.int64(3), np.uint8(2)])
@pytest.mark.parametrize("add", ["add_parameters", "add_lookup_parameters"])
def test_a_second_dimension_in_the_place_of_init_is_refused(add, number):
    model = dy.Model()
    for dim in (4, np.int32(4), 1):
        with pytest.raises(dy.ArgumentError, match=rf"{add}: .*\(\({dim}, {number}\)\).*init={number}"):
            getattr(model, add)(dim, number)
    assert model.parameter_count() == 0


@pytest.mark.parametrize("init", [0, 1, 3.0, 0.5, -1, True, np.float32(3), np.full(4, 2), "glorot", None])
def test_other_initial_values_may_come_second(init):
    model = dy.Model()
    assert model.add_parameters(4, init).shape() == (4,)
    assert model.add_parameters((4,), 3).as_array().tolist() == [3] * 4
    assert model.add_parameters(4, init=3).as_array().tolist() == [3] * 4
    assert model.add_parameters((4, 3), 2).as_array().tolist() == [[2] * 3] * 4


# Arrays of expressions


def test_arrays_of_expressions_hold_expressions():
    dy.renew_cg()
    p = dy.Model().parameters_from_numpy([1.0, 2.0])
    e, f = dy.tanh(p), dy.inputVector([3.0, 4.0])
    array = np.array([e, f])
    assert array.dtype == object and array.shape == (2,) and array[0] is e and array[1] is f
    assert np.array([[e, f], [f, e]]).shape == (2, 2)
    assert np.asarray(e).shape == () and np.asarray(e).item() is e
    total = np.sum([e, f])
    assert isinstance(total, dy.Expression)
    dy.sum_elems(total).backward()
    np.testing.assert_allclose(p.grad_as_array(), 1 - np.tanh([1, 2]) ** 2, rtol=1e-6)
    assert np.mean([e, f]).npvalue() == pytest.approx((np.tanh([1, 2]) + [3, 4]) / 2)
    assert np.array([e, f])[::-1].tolist() == [f, e]
    assert np.empty(2, object).fill(e) is None


@pytest.mark.parametrize("dtype", [float, np.float32, "f8", int, np.int64, bool, complex, "U3"])
def test_an_expression_is_no_array_of_numbers(dtype):
    dy.renew_cg()
    e = dy.inputVector([1.0, 2.0])
    for convert in (
        lambda: np.asarray(e, dtype),
        lambda: np.array([e, e], dtype),
        lambda: e.__array__(np.dtype(dtype)),
    ):
        with pytest.raises(TypeError, match=r"npvalue\(\)"):
            convert()
    assert np.asarray(e, object).item() is e


@pytest.mark.parametrize(
    "function", [np.argmax, np.argmin, np.argsort, np.mean, np.median, np.max, np.count_nonzero, np.sum, np.shape]
)
def test_functions_of_numpy_take_no_expression(function):
    dy.renew_cg()
    p = dy.Model().parameters_from_numpy([1.0, 2.0])
    for e in (dy.inputVector([1.0, 2.0]), dy.tanh(p), dy.parameter(p, False)):
        with pytest.raises(dy.ArgumentTypeError, match=rf"numpy.{function.__name__} takes .*\(2,\): give it .npvalue"):
            function(e)
    np.testing.assert_array_equal(function(p), function(p.as_array()))
    assert np.stack([e, e]).tolist() == [e, e]


def test_numbers_of_numpy_on_the_left():
    dy.renew_cg()
    e = dy.inputVector([1.0, 2.0])
    assert (np.float64(2) * e).value() == [2, 4]
    assert (np.float32(1) + e).value() == [2, 3]
    assert (np.int64(3) - e).value() == [2, 1]
    assert (np.float64(2) / e).value() == [2, 1]


def test_parameters_and_tensors_are_numbers_when_they_are_converted():
    dy.renew_cg()
    p, q = (dy.Model().parameters_from_numpy([k, 2.0]) for k in (1.0, 3.0))
    assert np.asarray(p).tolist() == [1, 2] and np.asarray(p).dtype == np.float32
    assert np.array([p, q]).tolist() == [[1, 2], [3, 2]]
    assert np.asarray(dy.inputVector([1.0]).tensor_value()).tolist() == [1]


# Settings


def run(program):
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.parametrize(
    ("call", "named"),
    [
        ("set(random_seed=3)", "random_seed=3"),
        ("set(threads=2, autobatch=1)", "autobatch=1, threads=2"),
        ("set(weight_decay=.1)", "weight_decay=0.1"),
        ("set_gpu()", "gpu=True"),
        ("set(gpu=True)", "gpu=True"),
    ],
)
def test_settings_that_come_too_late_are_warned_of(call, named):
    errors = run(f"import dynet, dynet_config\ndynet_config.{call}")
    assert "RuntimeWarning" in errors and named in errors and "before it" in errors
    assert run(f"import dynet_config\ndynet_config.{call.replace('gpu=True', 'gpu=False')}\n") == ""


def test_settings_after_import_of_the_library_without_init_are_in_time():
    program = (
        "import _dynet, dynet_config\ndynet_config.set(random_seed=3)\n_dynet.init()\ndynet_config.set(random_seed=4)"
    )
    assert run(program).count("RuntimeWarning") == 1


# Updates


def test_an_update_without_a_gradient_is_warned_of_once():
    model, other = dy.Model(), dy.Model()
    p, q = model.parameters_from_numpy([1.0]), other.parameters_from_numpy([1.0])
    E = model.add_lookup_parameters((3, 2), init=1.0)
    trainer = dy.SimpleSGDTrainer(model, 0.5)
    dy.renew_cg()
    dy.sum_elems(q).backward()
    with pytest.warns(
        RuntimeWarning, match="SimpleSGDTrainer.update: since the last update, backward.. has reached no"
    ) as all:
        trainer.update()
        trainer.update(0.5)
        trainer.update_subset([0], [0])
    assert len(all) == 1 and all[0].filename == __file__
    assert trainer._updates == 3
    assert p.as_array() == 1 and (E.as_array() == 1).all()


def test_an_update_before_any_backward_of_the_process_is_warned_of():
    program = """
import dynet as dy
model = dy.Model()
p = model.parameters_from_numpy([1.0])
trainer = dy.AdamTrainer(model)
(p * 2.0).value()
trainer.update()
"""
    assert run(program).count("DynetWarning: AdamTrainer.update: since the last update, backward() has reached no") == 1


@pytest.mark.parametrize("frozen", [False, True])
def test_gradients_that_are_zero_are_no_reason_to_warn(frozen):
    model = dy.Model()
    p, q = model.parameters_from_numpy([1.0, 5.0]), model.parameters_from_numpy([1.0])
    q.set_updated(not frozen)
    trainer = dy.AdamTrainer(model)
    for _ in range(3):
        dy.renew_cg()
        dy.hinge(p * 2.0, 1).backward()
        trainer.update()
    assert p.as_array().tolist() == [1, 5]
    with pytest.warns(RuntimeWarning):
        trainer.update()  # second call


def test_a_graph_without_any_trained_parameter_of_the_collection_is_one():
    model = dy.Model()
    p, q = model.parameters_from_numpy([1.0]), model.parameters_from_numpy([1.0])
    p.set_updated(False)
    trainer = dy.AdamTrainer(model)
    dy.renew_cg()
    dy.sum_elems(p * 2.0).backward(full=True)
    with pytest.warns(RuntimeWarning):
        trainer.update()
    assert q.as_array() == 1


@pytest.mark.parametrize("table", [False, True])
def test_a_parameter_that_is_the_loss_itself(table):
    model = dy.Model()
    p = model.add_lookup_parameters((1, 1), init=3.0) if table else model.parameters_from_numpy([3.0])
    trainer = dy.SimpleSGDTrainer(model, 0.5)
    p.backward()
    trainer.update()
    assert p.as_array().ravel() == [2.5]
    p.set_updated(False)
    p.backward()
    p.set_updated(True)
    with pytest.warns(RuntimeWarning):
        trainer.update()
    assert p.as_array().ravel() == [2.5]


def test_an_update_that_warns_is_done_all_the_same():
    dy.renew_cg()
    dy.scalarInput(1.0).backward()  # the last loss is stale; earlier tests may have left gradients
    model = dy.Model()
    model.set_weight_decay(0.5)
    p = model.parameters_from_numpy([1.0])
    for update in (lambda t: t.update(), lambda t: t.update(2.0), lambda t: t.update_subset([0], [])):
        trainer, before = dy.AdamTrainer(model), p.as_array()
        with pytest.raises(RuntimeWarning):  # warnings are errors here
            update(trainer)
        assert trainer._updates == 1 and p.as_array() == before / 2


@pytest.mark.parametrize("at", range(6))
@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_update_that_fails_in_its_preparations_can_be_repeated(at, error, monkeypatch):
    from dynet_optim import table

    model, count = dy.Model(), 0
    parameters = [model.parameters_from_numpy([1.0, 2.0]) for _ in range(3)]
    trainer = dy.AdamTrainer(model)

    def failing(*arguments, real=table.allocate_block, **named):
        nonlocal count
        count += 1
        if count == at + 1:
            raise error
        return real(*arguments, **named)

    monkeypatch.setattr(table, "allocate_block", failing)
    dy.renew_cg()
    dy.sum_elems(dy.esum(parameters)).backward()
    with pytest.raises(error):
        trainer.update()
    trainer.update()
    assert all((p.as_array() < [1, 2]).all() for p in parameters)


@pytest.mark.parametrize("use", ["p", "E", "whole"])
def test_an_update_with_a_gradient_is_not(use):
    model = dy.Model()
    p, E = model.parameters_from_numpy([1.0]), model.add_lookup_parameters((3, 2), init=1.0)
    trainer = dy.AdamTrainer(model)
    for _ in range(3):
        dy.renew_cg()
        dy.sum_elems({"p": p, "E": E[1], "whole": dy.parameter(E)}[use]).backward()
        trainer.update()


# Renewing after an interrupt


def test_a_graph_is_renewed_after_an_interrupt_anywhere():
    """Raises an exception at each line that records, computes or renews; then a new graph has the right values."""
    E = dy.Model().add_lookup_parameters((9, 300), init=1.0)
    held = []

    def work(number):
        dy.renew_cg(immediate_compute=number % 3 == 1, check_validity=number % 3 == 2)
        x = dy.inputVector([1.0] * 300)
        nodes = [dy.tanh(x * float(k)) + E[k % 9] for k in range(60)]
        held.append(nodes[number % 60])
        total = dy.sum_elems(dy.esum(nodes))
        total.value()
        dy.cg_checkpoint()
        dy.tanh(total).value()
        dy.cg_revert()
        total.backward(full=True)

    work(0)
    threading.setprofile(None)
    lines, at = 0, 7
    files = (
        "compiled.py",
        "graph/graph.py",
        "engine.py",
        "record.py",
        "kinds.py",
        "lookup.py",
        "api.py",
    )

    def trace(frame, event, _):
        nonlocal lines
        if not frame.f_code.co_filename.endswith(files):
            return None
        if event == "line":
            lines += 1
            if lines == at:
                raise KeyboardInterrupt
        return trace

    interrupted = 0
    for number in range(400):
        lines, at = 0, 1 + (number * 37) % 200
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            work(number)
        except KeyboardInterrupt:
            interrupted += 1
        finally:
            sys.settrace(before)
        if number % 7 == 0:
            held.clear()
        dy.renew_cg()
        x = dy.inputVector([0.5] * 300)
        y = dy.sum_elems(dy.tanh(x * 2.0) + E[3])
        assert y.value() == pytest.approx(300 * (np.tanh(1.0) + 1), rel=1e-5)
        y.backward(full=True)
        np.testing.assert_allclose(x.gradient(), 2 * (1 - np.tanh(1.0) ** 2) * np.ones(300), rtol=1e-5)
        for old in held:
            with pytest.raises(dy.DynetError):
                old.value()
    assert interrupted > 300
