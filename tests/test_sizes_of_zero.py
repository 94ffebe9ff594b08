"""Parameters and tables of size 0, which parsers create for disabled features and never use."""

import copy
import json
import pickle
import subprocess
import sys

import numpy as np
import pytest

import dynet as dy
from dynet_core.files.safetensors_format import ORDER_KEY
from dynet_core.graph import current
from dynet_core.op import OPS

SHAPES = [(14, 0), (0, 100), (0, 0), (3, 0, 2), (0,)]
TRAINERS = [
    dy.SimpleSGDTrainer, dy.MomentumSGDTrainer, dy.AdagradTrainer, dy.AdadeltaTrainer, dy.RMSPropTrainer,
    dy.AdamTrainer, dy.AdamWTrainer, dy.AmsgradTrainer, dy.CyclicalSGDTrainer,
]  # fmt: skip
INITIALIZERS = [
    None, "glorot", "he", "identity", "normal", "saxe", "uniform", 0.5, dy.ConstInitializer(1), dy.GlorotInitializer(),
    dy.GlorotInitializer(is_lookup=True), dy.IdentityInitializer(), dy.NormalInitializer(), dy.SaxeInitializer(),
    dy.UniformInitializer(1),
]  # fmt: skip


def filled():
    """A collection with parameters of size 0 among others."""
    m = dy.ParameterCollection()
    m.add_parameters(2, init=1.0)
    for shape in SHAPES:
        m.add_parameters(shape)
        m.add_lookup_parameters(shape)
    m.add_lookup_parameters((3, 2), init=1.0)
    return m


def everything(m):
    return [*m.parameters_list(), *m.lookup_parameters_list()]


def shapes(m):
    return [(p.name(), p.shape()) for p in everything(m)]


def values(m):
    return {p.name(): p.as_array().tolist() for p in everything(m)}


# Creating and reading


@pytest.mark.parametrize("shape", SHAPES, ids=repr)
@pytest.mark.parametrize("init", INITIALIZERS, ids=repr)
def test_every_initializer_makes_them(init, shape):
    m = dy.Model()
    p, table = m.add_parameters(shape, init=init), m.add_lookup_parameters(shape, init=init)
    assert p.shape() == shape and p.as_array().shape == shape
    as_table = shape if len(shape) > 1 else (*shape, 1)
    assert table.shape() == as_table and table.as_array().shape == as_table
    assert m.parameter_count() == 0


def test_no_initial_value_is_drawn_for_them():
    """Later parameters have the same values as without them, as in DyNet."""
    found = []
    for sizes in ((), SHAPES):
        dy.reset_random_seed(1)
        m = dy.Model()
        for shape in sizes:
            m.add_parameters(shape)
            m.add_lookup_parameters(shape)
        found.append(m.add_parameters((2, 3)).as_array().tolist())
    assert found[0] == found[1]


def test_arrays_give_them():
    m = dy.Model()
    assert m.parameters_from_numpy(np.zeros((0, 3))).shape() == (0, 3)
    assert m.lookup_parameters_from_numpy(np.zeros((3, 0))).shape() == (3, 0)
    assert m.add_parameters(None, init=np.zeros((2, 0))).shape() == (2, 0)
    with pytest.raises(dy.InitializerError):
        m.add_parameters((0, 3), init=np.zeros((3, 0)))


def test_they_are_counted_as_nothing():
    assert filled().parameter_count() == 8


def test_they_can_be_read_and_changed_as_others():
    for p in everything(filled()):
        shape = p.shape()
        p.zero()
        p.scale(2)
        p.scale_gradient(2)
        p.clip_inplace(-1, 1)
        p.set_value(np.zeros(shape))
        p.set_updated(False)
        p.set_updated(True)
        assert p.is_updated()
        assert p.as_array().shape == p.grad_as_array().shape == np.asarray(p).shape == shape
        assert np.from_dlpack(p).shape == shape
        assert p.npvalue().shape == p.gradient().shape == p.dim()[0]


def test_rows_without_numbers():
    table = dy.Model().add_lookup_parameters((14, 0))
    table.init_row(3, [])
    assert table.row_as_array(3).shape == table.row_grad_as_array(3).shape == (0,)
    assert table.rows_as_array([1, 2]).shape == table.rows_grad_as_array([1, 2]).shape == (2, 0)
    with pytest.raises(dy.OutOfRangeError):
        table.row_as_array(14)
    with pytest.raises(dy.OutOfRangeError):
        dy.Model().add_lookup_parameters((0, 100)).row_as_array(0)


def test_sizes_that_are_too_large_all_the_same():
    """An empty table takes no memory, whatever number of rows is requested."""
    m = dy.Model()
    assert m.add_lookup_parameters((1 << 40, 0)).shape() == (1 << 40, 0)
    for shape in (((1 << 40) + 1, 0), (1 << 30, 0, 1 << 30)):
        for add in (m.add_parameters, m.add_lookup_parameters):
            with pytest.raises(dy.ShapeError, match="at most"):
                add(shape)


# Files and copies


@pytest.mark.parametrize("name", ["model", "model.safetensors"])
def test_files_hold_them(name, tmp_path):
    m, file = filled(), str(tmp_path / name)
    m.save(file)
    assert shapes(dy.ParameterCollection.from_file(file)) == shapes(m)
    other = filled()
    other.parameters_list()[0].zero()
    other.populate(file)
    assert values(other) == values(m)
    wrong = dy.ParameterCollection()
    wrong.add_parameters((0, 14))
    with pytest.raises(dy.FileFormatError, match=r"\(14, 0\) in the file, \(0, 14\) in the model"):
        wrong.parameters_list()[0].populate(file, "/_1")


def test_dynets_text_is_read_and_written(tmp_path):
    text = (
        "#Parameter# /_0 {14,0} 1 ZERO_GRAD\n\n#LookupParameter# /_1 {0,14} 1 ZERO_GRAD\n\n"
        "#LookupParameter# /_2 {100,0} 1 ZERO_GRAD\n\n"
    )
    (tmp_path / "theirs").write_text(text)
    m = dy.ParameterCollection.from_file(tmp_path / "theirs")
    assert shapes(m) == [("/_0", (14, 0)), ("/_1", (14, 0)), ("/_2", (0, 100))]
    m.save(str(tmp_path / "ours"))
    assert (tmp_path / "ours").read_text() == text


def test_a_text_file_with_gradients_of_nothing(tmp_path):
    text = "#LookupParameter# /_0 {0,14} 2 FULL_GRAD\n\n\n#Parameter# /_1 {1} 17 ZERO_GRAD\n+1.00000000e+00 \n"
    (tmp_path / "file").write_text(text)
    assert shapes(dy.ParameterCollection.from_file(tmp_path / "file")) == [("/_1", (1,)), ("/_0", (14, 0))]


@pytest.mark.parametrize("dims", ["0,1099511627777", "1099511627776,0,2"])
def test_files_that_announce_too_many_rows_of_nothing(dims, tmp_path):
    (tmp_path / "file").write_text(f"#LookupParameter# /_0 {{{dims}}} 1 ZERO_GRAD\n\n")
    with pytest.raises(dy.FileFormatError, match="impossible dimensions"):
        dy.ParameterCollection.from_file(tmp_path / "file")


def test_a_safetensors_file_that_announces_too_many_rows_of_nothing(tmp_path):
    head = {
        "__metadata__": {ORDER_KEY: json.dumps([["/_0", True]])},
        "/_0": {"dtype": "F32", "shape": [(1 << 40) + 1, 0], "data_offsets": [0, 0]},
    }
    text = json.dumps(head).encode()
    (tmp_path / "file.safetensors").write_bytes(len(text).to_bytes(8, "little") + text)
    with pytest.raises(dy.FileFormatError, match="which no parameter can be"):
        dy.ParameterCollection.from_file(tmp_path / "file.safetensors")


def test_saved_objects(tmp_path):
    m = filled()
    dy.save(str(tmp_path / "objects"), everything(m))
    found = dy.load(str(tmp_path / "objects"), dy.ParameterCollection())
    assert [p.shape() for p in found] == [p.shape() for p in everything(m)]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies(copied):
    m = filled()
    assert shapes(copied(m)) == shapes(m)


# Training


def train(m, trainer, steps=2):
    W, E = m.parameters_list()[0], m.lookup_parameters_list()[-1]
    for _ in range(steps):
        dy.renew_cg()
        dy.sum_elems(dy.square(W) + dy.square(E[1])).backward()
        trainer.update()


@pytest.mark.filterwarnings("ignore:.*since the last update, backward.. has reached no:RuntimeWarning")
@pytest.mark.parametrize("decay", [0.0, 0.01])
@pytest.mark.parametrize("sparse", [True, False])
@pytest.mark.parametrize("trainer", TRAINERS)
def test_trainers_pass_them_by(trainer, sparse, decay, tmp_path):
    found = []
    for m in (filled(), dy.ParameterCollection()):
        if not everything(m):
            m.add_parameters(2, init=1.0)
            m.add_lookup_parameters((3, 2), init=1.0)
        m.set_weight_decay(decay)
        used = trainer(m)
        used.set_sparse_updates(sparse)
        train(m, used)
        used.save(str(tmp_path / "state"))
        used.populate(str(tmp_path / "state"))
        used.update_subset(range(len(m.parameters_list())), range(len(m.lookup_parameters_list())))
        train(m, used)
        found.append([m.parameters_list()[0].as_array().tolist(), m.lookup_parameters_list()[-1].as_array().tolist()])
    assert found[0] == found[1]
    assert found[0][0] != [1.0, 1.0]


def test_a_gradient_that_is_not_finite_is_still_named():
    m = filled()
    W = m.parameters_list()[0]
    dy.sum_elems(dy.log(W - 1.0) * 0.0).backward()
    with pytest.raises(dy.GradientError, match="/_0"):
        dy.SimpleSGDTrainer(m).update()


def test_processes_share_them():
    code = (
        "import dynet_config; dynet_config.set(shared_parameters=True)\n"
        "import dynet as dy\n"
        "m = dy.Model(); m.add_lookup_parameters((14, 0)); m.add_parameters((0, 100))\n"
        "print(m.parameter_count())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"


# Graphs refuse them


def operands():
    m = dy.ParameterCollection()
    p, table, no_rows = m.add_parameters((0, 3)), m.add_lookup_parameters((14, 0)), m.add_lookup_parameters((0, 100))
    return {
        r"Parameter /_0 \(0, 3\)": p,
        r"LookupParameter /_1 \(14, 0\)": table,
        r"LookupParameter /_2 \(0, 100\)": no_rows,
        "without a gradient": dy.const_parameter(p),
        "a table without a gradient": dy.parameter(table, False),
    }


SHOWN = {
    "without a gradient": r"Parameter /_0 \(0, 3\)",
    "a table without a gradient": r"LookupParameter /_1 \(14, 0\)",
}


@pytest.mark.parametrize("name", [name for name, op in OPS.items() if any(sample.shapes for sample in op.samples)])
def test_every_op_refuses_them(name):
    op = OPS[name]
    for sample in op.samples:
        for place in range(len(sample.shapes)):
            for described, parameter in operands().items():
                dy.renew_cg()
                xs = [dy.zeros(*shape) for shape in sample.shapes]
                xs[place] = parameter
                before = current().records.length
                with pytest.raises(dy.ShapeError, match=f"{SHOWN.get(described, described)} has size 0"):
                    op.record(xs, **sample.attributes) if sample.as_list else op.record(*xs, **sample.attributes)
                assert current().records.length == before


def test_operators_and_networks_refuse_them():
    p, table, *_ = operands().values()
    x = dy.inputVector([1, 2, 3])
    lstm = dy.VanillaLSTMBuilder(1, 3, 3, dy.Model())
    for call in (
        lambda: p * x,
        lambda: p + 1,
        lambda: 2 * p,
        lambda: x - p,
        lambda: p / x,
        lambda: p[0],
        lambda: p[:2],
        lambda: p[:, :, 0:1],
        lambda: lstm.initial_state().add_input(p),
        lambda: lstm.initial_state().transduce([p, x]),
        lambda: lstm.initial_state([p, x]),
        lambda: dy.to_device(p, "CPU"),
        lambda: dy.StandardSoftmaxBuilder(3, 2, dy.Model()).full_logits(p),
    ):
        before = current().records.length
        with pytest.raises(dy.ShapeError, match=r"Parameter /_0 \(0, 3\) has size 0"):
            call()
        assert current().records.length == before
    with pytest.raises(dy.ShapeError, match="not a single number"):
        p.backward()


@pytest.mark.parametrize("update", [True, False])
@pytest.mark.parametrize("shape", [(14, 0), (0, 100), (0, 0)])
def test_rows_cannot_be_looked_up(shape, update):
    table = dy.Model().add_lookup_parameters(shape)
    for call in (
        lambda: table.lookup(0, update),
        lambda: table.lookup(99, update),
        lambda: dy.lookup(table, 1, update),
        lambda: dy.lookup_batch(table, [0, 1], update),
        lambda: dy.lookup_batch(table, np.array([50]), update),
        lambda: table.batch([0], update),
    ):
        before = current().records.length
        with pytest.raises(dy.ShapeError, match=rf"LookupParameter /_0 \({shape[0]}, {shape[1]}\) has size 0"):
            call()
        assert current().records.length == before
    with pytest.raises(dy.ShapeError):
        table[0]


def test_only_parameters_may_have_size_0():
    x = dy.inputVector([1, 2, 3])
    for call in (
        lambda: dy.reshape(x, (0,)),
        lambda: dy.zeros((0,)),
        lambda: dy.ones(0),
        lambda: dy.constant((2, 0), 1),
        lambda: dy.vecInput(0),
        lambda: dy.one_hot(0, 0),
        lambda: dy.inputTensor([]),
        lambda: dy.inputTensor(np.zeros((0, 3))),
        lambda: dy.random_normal((0,)),
        lambda: dy.random_uniform(0, 0, 1),
        lambda: dy.random_bernoulli((0, 2), 0.5),
        lambda: dy.random_gumbel(0),
        lambda: dy.VanillaLSTMBuilder(1, 0, 4, dy.Model()),
        lambda: dy.GRUBuilder(1, 4, 0, dy.Model()),
        lambda: dy.BiRNNBuilder(1, 0, 4, dy.Model(), dy.VanillaLSTMBuilder),
        lambda: dy.StandardSoftmaxBuilder(0, 4, dy.Model()),
    ):
        with pytest.raises(dy.ArgumentError):
            call()
