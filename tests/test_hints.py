"""Errors that suggest the name in this library for attributes of other libraries, and the `repr` of objects."""

import copy
import inspect
import pickle
import re
import subprocess
import sys
import threading

import numpy as np
import pytest

import dynet as dy
from dynet_core import recorder
from dynet_core.messages.hints import HINTS, Hint, nearest_name
from dynet_core.op import OPS

PACKAGES = ("dynet", "dynet_core", "dynet_ops", "dynet_rnn", "dynet_optim")
MODEL = dy.ParameterCollection()
LSTM = dy.VanillaLSTMBuilder(1, 2, 3, MODEL)
OBJECTS = {
    "trainer": dy.AdamTrainer(MODEL),
    "model": MODEL,
    "network": LSTM,
    "state": LSTM.initial_state(),
    "two ways": dy.BiRNNBuilder(1, 2, 4, MODEL, dy.GRUBuilder),
    "gru": dy.GRUBuilder(1, 2, 3, MODEL),
    "tree": dy.ChildSumTreeLSTMBuilder(1, 2, 3, MODEL),
    "binary tree": dy.NaryTreeLSTMBuilder(1, 2, 3, MODEL),
    "softmax": dy.StandardSoftmaxBuilder(3, 4, MODEL),
    "expression": dy.inputVector([1, 2, 3]),
    "lookup parameter": MODEL.add_lookup_parameters((5, 3)),
}
EACH = "of both builders in each of b.builder_layers"
USES = [
    ("trainer", "step", "trainer.update()"),
    ("trainer", "zero_grad", "nothing: trainer.update() leaves no gradients"),
    ("trainer", "lr", "trainer.learning_rate"),
    ("trainer", "clip", "trainer.set_clip_threshold(threshold)"),
    ("trainer", "beta1", "an argument, as in dy.AdamTrainer(model, beta_1=0.9)"),
    ("trainer", "eps", "an argument, as in dy.AdamTrainer(model, beta_1=0.9)"),
    ("expression", "float", "e itself: all numbers are float32"),
    ("lookup parameter", "weight", "p, an expression, or p.as_array() and p.set_value(array)"),
    ("trainer", "state_dict", "trainer.save(path)"),
    ("model", "parameters", "model.parameters_list() and model.lookup_parameters_list()"),
    ("model", "params", "model.parameters_list() and model.lookup_parameters_list()"),
    ("model", "state_dict", "model.arrays(), or model.save(path) for a file"),
    ("model", "load_state_dict", "model.set_arrays(arrays), or model.populate(path) for a file"),
    ("model", "train", "set_dropout of networks, and dy.dropout where you train"),
    ("model", "eval", "disable_dropout of networks, and no dy.dropout"),
    ("network", "forward", "b.initial_state().transduce(xs)"),
    ("network", "eval", "b.disable_dropout()"),
    ("network", "hidden_dim", "b.spec"),
    ("gru", "set_dropouts", "b.set_dropout(rate)"),
    ("gru", "set_dropout_masks", "nothing: each input has its own masks"),
    ("two ways", "initial_state", "b.transduce(xs), or b.add_inputs(xs) for states: both begin anew"),
    ("two ways", "add_input", "b.add_inputs(xs) of all inputs: one network begins with the last"),
    ("two ways", "forward", "b.transduce(xs)"),
    ("two ways", "train", "b.set_dropout(rate)"),
    ("two ways", "eval", "b.disable_dropout()"),
    ("two ways", "parameters", "b.param_collection().parameters_list()"),
    ("two ways", "state_dict", "b.param_collection().arrays(), or dy.torch_weights(b) for torch"),
    ("two ways", "set_dropouts", f"b.set_dropout(rate), or set_dropouts(d, d_r) {EACH}"),
    ("two ways", "get_parameters", f"get_parameters() {EACH}, or b.param_collection().parameters_list()"),
    ("tree", "transduce", "b.initial_state().transduce(xs, heads)"),
    ("tree", "add_input", "b.initial_state().add_input(x, children)"),
    ("tree", "set_dropouts", "b.set_dropout(rate)"),
    ("tree", "set_dropout_masks", "nothing: each node has its own masks"),
    ("tree", "train", "b.set_dropout(rate)"),
    ("binary tree", "eval", "b.disable_dropout()"),
    ("binary tree", "parameters", "b.get_parameters() or b.param_collection()"),
    ("state", "hidden", "state.h(), or state.output() for the last layer"),
]


@pytest.mark.parametrize(("what", "name", "use"), USES)
def test_members_that_are_called_otherwise_elsewhere(what, name, use):
    x = OBJECTS[what]
    with pytest.raises(AttributeError) as caught:
        getattr(x, name)
    assert str(caught.value) == f"{type(x).__name__} has no attribute {name!r}: use {use}"
    assert not hasattr(x, name) and not hasattr(type(x), name)
    assert name not in dir(x) and "__class__" in dir(x)


def rows(keywords):
    """Return the rows of the sections for keyword arguments, whose names end in `()`, or of those for attributes."""
    others = ("ops", "dy", "operators", "arguments")
    places = [place for place in HINTS if place.endswith("()") == keywords and place not in others]
    return [(place, name) for place in places for name in HINTS[place]]


@pytest.mark.parametrize(("place", "name"), rows(keywords=False))
def test_each_row_of_the_table_for_attributes(place, name):
    kinds = {kind.__name__ for x in OBJECTS.values() for kind in type(x).__mro__}
    assert place in kinds
    x = next(x for x in OBJECTS.values() if place in [kind.__name__ for kind in type(x).__mro__])
    call = {"__call__": lambda: x(1), "__getitem__": lambda: x[0]}.get(name, lambda: getattr(x, name))
    with pytest.raises(TypeError if name.startswith("__") else AttributeError) as caught:
        call()
    no = "is not a " if name.startswith("__") else f"has no attribute {name!r}"
    assert no in str(caught.value) and str(caught.value).endswith(f": use {HINTS[place][name]}")


@pytest.mark.parametrize("name", HINTS["operators"])
def test_each_row_of_the_table_for_operators(name):
    x = OBJECTS["expression"]
    sign, end, use = HINTS["operators"][name].partition("; ")
    with pytest.raises(dy.ArgumentTypeError) as caught:
        getattr(x, name)()
    of = f"{sign} is for numbers, not for an expression of {x.type!r}"
    assert str(caught.value) == f"{of}: take its .npvalue(), which has no gradient{end}{use}"


@pytest.mark.parametrize("what", [*OBJECTS][:8])
def test_hints_are_for_what_is_not_there_and_name_what_is(what):
    x = OBJECTS[what]
    hints = {
        name: hint for kind in reversed(type(x).__mro__) for name, hint in vars(kind).items() if isinstance(hint, Hint)
    }
    owners = {"trainer": dy.AdamTrainer, "model": dy.ParameterCollection, "b": dy.VanillaLSTMBuilder}
    if what not in ("trainer", "model", "state"):
        owners["b"] = x
    owners |= {"dy": dy, "loss": dy.Expression, "p": dy.Parameters, "state": type(OBJECTS["state"])}
    assert hints
    for name, hint in hints.items():
        assert not hasattr(x, name)
        for owner, member in re.findall(r"\b(\w+)\.([a-z]\w*)", hint.use):
            assert owner in ("dynet_config", *owners), hint.use
            assert hasattr(owners.get(owner, dy.dynet_config), member), hint.use


def test_the_learning_rate_cannot_be_set_by_another_name():
    trainer = OBJECTS["trainer"]
    with pytest.raises(AttributeError, match="use trainer.learning_rate$"):
        trainer.lr = 0.1
    assert "lr" not in vars(trainer)


def test_models_of_users_may_have_members_of_these_names():
    class Tagger(dy.ParameterCollection):
        def __init__(self):
            super().__init__()
            self.train = True

        def forward(self):
            return 1

    tagger = Tagger()
    assert tagger.train and tagger.forward() == 1 and {"train", "forward"} <= {*dir(tagger)}


def test_copies_need_no_hints():
    model = dy.ParameterCollection()
    model.add_parameters(2)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(dy.AdamTrainer(model)))._collection):
        assert [p.shape for p in other.parameters_list()] == [(2,)]
    with pytest.raises(AttributeError, match="has no attribute '__no_such__'"):
        model.__no_such__  # noqa: B018


@pytest.mark.few(each=3)
@pytest.mark.parametrize(
    ("line", "meant"),
    [("trainer.updat()", "update"), ("model.add_paramters(3)", "add_parameters"), ("W.set_valeu(3)", "set_value"),
     ("W.npvalu()", "npvalue"), ("dy.tanh(W).valeu()", "value"), ("state.add_inpt(W)", "add_input")],
)  # fmt: skip
def test_python_says_which_member_is_meant(line, meant):
    before = (
        "import dynet as dy; model = dy.Model(); W = model.add_parameters(2); trainer = dy.AdamTrainer(model); "
        "state = dy.GRUBuilder(1, 2, 3, model).initial_state(); "
    )
    done = subprocess.run([sys.executable, "-c", before + line], capture_output=True, text=True, timeout=300)
    assert done.returncode == 1 and f"Did you mean: '{meant}'?" in done.stderr


@pytest.mark.parametrize(
    ("name", "found"),
    [("sofmax", "softmax"), ("tahn", "tanh"), ("renewcg", "renew_cg"), ("concatnate", "concatenate"),
     ("log2", ""), ("relu6", ""), ("arrange", ""), ("celu", ""), ("sing", ""), ("conv3d", "")],
)  # fmt: skip
def test_the_nearest_name_is_one_that_is_meant(name, found):
    known = ["softmax", "tanh", "renew_cg", "concatenate", "log", "elu", "average", "sin", "sqrt", "conv2d"]
    assert nearest_name(name, known) == found


# Keyword arguments that have different names in other libraries

KEYWORDS = [
    (dy.AdamTrainer, "lr", "learning_rate"),
    (dy.AdamTrainer, "e0", "learning_rate"),
    (dy.AdamTrainer, "beta1", "beta_1"),
    (dy.AdamTrainer, "betas", "beta_1 and beta_2"),
    (dy.AmsgradTrainer, "epsilon", "eps"),
    (dy.AdamTrainer, "weight_decay", "dy.AdamWTrainer, or set_weight_decay(learning rate * decay) of the collection"),
    (dy.SimpleSGDTrainer, "alpha", "learning_rate"),
    (dy.SimpleSGDTrainer, "params", "m"),
    (dy.SimpleSGDTrainer, "momentum", "dy.MomentumSGDTrainer"),
    (dy.MomentumSGDTrainer, "momentum", "mom"),
    (dy.RMSPropTrainer, "clipnorm", "trainer.set_clip_threshold(threshold)"),
    (dy.RMSPropTrainer, "alpha", "rho, or learning_rate for the step size"),
    (dy.CyclicalSGDTrainer, "lr", "learning_rate_min and learning_rate_max"),
    (dy.AdadeltaTrainer, "learning_rate", "trainer.learning_rate, a factor that starts at 1"),
    (MODEL.add_parameters, "dims", "dim"),
    (MODEL.add_parameters, "shape", "dim"),
    (MODEL.add_parameters, "initializer", "init"),
    (MODEL.add_parameters, "trainable", "p.set_updated(False) on the parameter p"),
    (MODEL.add_lookup_parameters, "shape", "dim"),
    (MODEL.add_lookup_parameters, "vocab_size", "dim=(rows, size of a row)"),
    (dy.VanillaLSTMBuilder, "num_layers", "layers"),
    (dy.SimpleRNNBuilder, "hidden_size", "hidden_dim"),
    (dy.GRUBuilder, "dropout", "set_dropout(rate) of the builder"),
    (dy.CoupledLSTMBuilder, "ln", "ln_lstm"),
    (dy.SparseLSTMBuilder, "bidirectional", "dy.BiRNNBuilder"),
    (dy.BiRNNBuilder, "layers", "num_layers"),
    (dy.BiRNNBuilder, "rnn_builder", "rnn_builder_factory"),
    (dy.ChildSumTreeLSTMBuilder, "pc", "model"),
    (dy.StandardSoftmaxBuilder, "model", "pc"),
    (dy.NormalInitializer, "std", "var, the square of it"),
    (dy.UniformInitializer, "low", "scale, for the range -scale to scale"),
    (dy.ConstInitializer, "value", "c"),
    (dy.softmax, "axis", "d"),
    (dy.reshape, "shape", "d"),
    (dy.dropout, "rate", "p"),
    (dy.pick, "idx", "index"),
    (dy.concatenate, "axis", "d"),
    (dy.tanh, "inplace", None),
]


def refused_by_python(function):
    return recorder.DESCRIPTION != "compiled" and inspect.isfunction(function) and not hasattr(function, "enter")


@pytest.mark.parametrize(
    ("function", "given", "use"), KEYWORDS, ids=[f"{function.__name__} {given}" for function, given, _ in KEYWORDS]
)
def test_keywords_that_are_called_otherwise_elsewhere(function, given, use):
    if refused_by_python(function):
        pytest.skip("without templates, Python itself refuses the keyword, and names it")
    names = list(inspect.signature(function).parameters)
    end = f"use {use}" if use else f"the arguments are {', '.join(names)}"
    for arguments in ((), (MODEL,), (MODEL, 1)):
        with pytest.raises(TypeError) as caught:
            function(*arguments, **{given: 1})
        assert str(caught.value) == f"{function.__name__}(): got an unexpected keyword argument {given!r}: {end}"


OF_BASES = {"Trainer": dy.AdamTrainer, "LayersBuilder": dy.GRUBuilder, "SoftmaxBuilder": dy.StandardSoftmaxBuilder}


@pytest.mark.parametrize(("place", "name"), rows(keywords=True))
def test_each_row_of_the_table_for_keywords(place, name):
    function = getattr(MODEL, place[:-2], None) or OF_BASES.get(place[:-2]) or getattr(dy, place[:-2])
    end = f"{function.__name__}(): got an unexpected keyword argument {name!r}: use {HINTS[place][name]}"
    with pytest.raises(TypeError) as caught:
        function(**{name: 1})
    assert str(caught.value) == end


FUNCTIONS = [getattr(dy, name) for name in OPS if hasattr(dy, name)] + [function for function, *_ in KEYWORDS]


@pytest.mark.parametrize("name", HINTS["arguments"])
def test_each_row_of_the_table_for_arguments(name):
    """Each row lists arguments of functions; a function that lacks `name` suggests the first one that it has."""
    uses, suggested, known = HINTS["arguments"][name].split(), set(), set()
    for function in FUNCTIONS:
        has = [*inspect.signature(function).parameters]
        known.update(has)
        if name not in has and {*uses} & {*has}:
            with pytest.raises(TypeError) as caught:
                function(**{name: 1})
            said, _, use = str(caught.value).partition(f"got an unexpected keyword argument {name!r}: use ")
            if use and name not in HINTS.get(f"{function.__name__}()", {}):  # hints for one class come first
                assert use == next(use for use in uses if use in has)
                suggested.add(use)
    assert {*uses} <= known and (suggested or recorder.DESCRIPTION != "compiled")


def test_classes_of_users_may_have_other_keywords():
    class Trainer(dy.AdamTrainer):
        def __init__(self, m, lr):
            super().__init__(m, learning_rate=lr)

    assert Trainer(MODEL, lr=0.5).learning_rate == 0.5
    with pytest.raises(TypeError, match="unexpected keyword argument 'rate'$"):
        Trainer(MODEL, rate=0.5)


# The suggested replacements for missing functions are right


POSITIVE = np.array([0.5, 1.0, 2.0], np.float32)
FORMULAS = {
    "gelu": lambda x: x * (1 + np.vectorize(__import__("math").erf)(x / 2**0.5)) / 2,
    "leaky_relu": lambda x: np.maximum(x, 0.01 * x),
    "softplus": lambda x: np.log1p(np.exp(x)),
    "mish": lambda x: x * np.tanh(np.log1p(np.exp(x))),
    "relu6": lambda x: np.clip(x, 0, 6),
    "softmin": lambda x: np.exp(-x) / np.exp(-x).sum(),
    "log1p": np.log1p,
    "log2": np.log2,
    "log10": np.log10,
    "expm1": np.expm1,
    "exp2": np.exp2,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "reciprocal": np.reciprocal,
    "zeros_like": np.zeros_like,
    "ones_like": np.ones_like,
    "outer": lambda x: np.outer(x, x),
    "remainder": lambda x: x % x,
    "cosine_similarity": lambda x: np.ones(1),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_formulas_for_missing_functions(name):
    dy.renew_cg()
    x = dy.inputTensor(POSITIVE)
    with pytest.raises(AttributeError) as caught:
        getattr(dy, name)(x)
    use = str(caught.value).partition(": use ")[2].partition(", or ")[0]  # the second form is for numbers
    made = eval(use, {"dy": dy, "x": x, "y": x, "math": __import__("math")})
    np.testing.assert_allclose(made.npvalue(), FORMULAS[name](POSITIVE.astype(float)), rtol=1e-5)


EACH_FORM = {  # name -> its forms -> the right values for x and y
    "var": {"dy.square(dy.std_elems(x))": lambda x, y: np.var(x), "dy.square(dy.std_dim(x))": lambda x, y: x.var(0)},
    "trace": {"dy.trace_of_product(x, dy.inputTensor(numpy.eye(n)))": lambda x, y: np.trace(x)},
    "remainder": {
        "x - dy.cmult(y, dy.floor(x / y))": lambda x, y: x % y,
        "x - 2.5 * dy.floor(x / 2.5)": lambda x, y: x % 2.5,
    },
    "__mod__": {
        "x - dy.cmult(y, dy.floor(x / y))": lambda x, y: x % y,
        "x - 2.5 * dy.floor(x / 2.5)": lambda x, y: x % 2.5,
    },
    "mse_loss": {"dy.squared_distance(x, y)": lambda x, y: 4 * np.mean((x - y) ** 2)},
    "l1_loss": {"dy.l1_distance(x, y)": lambda x, y: 4 * np.mean(abs(x - y))},
    "smooth_l1_loss": {"dy.huber_distance(x, y, 1)": lambda x, y: abs(x - y).sum() - 0.5 * 4},
    "log1p": {"dy.asinh(dy.cmult(x, 0.5 + 0.5 / (x + 1)))": lambda x, y: np.log1p(x)},
    "expm1": {"2 * dy.cmult(dy.exp(x / 2), dy.sinh(x / 2))": lambda x, y: np.expm1(x)},
}


@pytest.mark.parametrize("name", EACH_FORM)
@pytest.mark.parametrize("scale", [1, 1e-8])
def test_each_form_of_what_is_said_of_matrices_is_right(name, scale):
    dy.renew_cg()
    a, b = np.float32([[7, 8], [9, 10]]) * scale, np.float32([[2, 3], [4, 6]]) * scale
    said = HINTS["operators"][name] if name.startswith("__") else HINTS["dy"][name]
    for form, right in EACH_FORM[name].items():
        assert form.replace("2.5", "y") in said
        if scale == 1 or name in ("var", "trace", "log1p", "expm1"):
            names = {"dy": dy, "x": dy.inputTensor(a), "y": dy.inputTensor(b), "numpy": np, "n": 2}
            value = eval(form, names).npvalue().reshape(np.shape(right(a, b)))
            np.testing.assert_allclose(value, right(a.astype(float), b.astype(float)), rtol=1e-5)


def test_what_is_said_of_masked_fill_is_right():
    e, mask, value = dy.inputVector([1, 2, 3]), dy.inputVector([1, 0, 1]), -7
    with pytest.raises(AttributeError) as caught:
        e.masked_fill(mask, value)
    use = str(caught.value).partition(": use ")[2].partition("; mask is")[0]
    assert eval(use, {"dy": dy, "e": e, "mask": mask, "value": value}).value() == [1, -7, 3]


def test_losses_that_are_sums_say_so():
    for name in ("MSELoss", "mse_loss", "l1_loss", "bce_loss", "binary_cross_entropy", "smooth_l1_loss", "huber_loss"):
        with pytest.raises(AttributeError, match="/ n for the mean of n elements$"):
            getattr(dy, name)(1)


def test_what_is_said_of_devices_batches_and_stacks():
    x = dy.inputVector([1, 2])
    with pytest.raises(AttributeError, match=r'use dy.get_device_info\(""\)$'):
        x.device  # noqa: B018
    assert dy.get_device_info("").name == "CPU"
    with pytest.raises(AttributeError, match="dy.layer_norm for each example"):
        dy.batchnorm(x)
    with pytest.raises(AttributeError, match="use dy.concatenate for vectors, dy.concatenate_cols for matrices"):
        dy.hstack([x, x])
    for call, said in ((lambda: x.var(), "use "), (lambda: np.var(x), "; "), (lambda: np.trace(x), "; ")):
        with pytest.raises((AttributeError, TypeError), match=said + r"dy.(square\(dy.std|trace_of_product\(x, )"):
            call()


def test_what_is_said_of_weight_decay_is_right():
    with pytest.raises(AttributeError, match="use dy.AdamWTrainer$"):
        dy.AdamW(MODEL)
    for kind, argument, decay in ((dy.AdamTrainer, {}, 0.1 * 0.5), (dy.AdamWTrainer, {"weight_decay": 0.5}, 0)):
        model = dy.ParameterCollection()  # w - rate * decay * w, where Adam's own step is 0
        w, trainer = model.add_parameters(1, init=1.0), kind(model, 0.1, **argument)
        model.set_weight_decay(decay)
        (0 * w).backward()
        trainer.update()
        assert w.as_array() == pytest.approx([1 - 0.1 * 0.5])


@pytest.mark.parametrize(
    ("name", "said"),
    [("StepLR", "trainer.learning_rate = rate"), ("set_num_threads", r"dynet_config.set\(threads=n\)"),
     ("Sequential", r"calls all layers: y = dy.tanh\(W \* x \+ b\)$"), ("ReLU", "dy.rectify$"),
     ("cuda", r"dynet_config.set_gpu\(\) before import dynet"), ("device", "nothing for the CPU; for a GPU, "),
     ("float32", "nothing: all numbers are float32$"), ("BatchNorm1d", "dy.layer_norm"), ("oneHot", "dy.one_hot$"),
     ("autograd", r"loss.backward\(\), then p.gradient\(\)"),
     ("DataLoader", "dy.batches_by_length"), ("Dropout", r"dy.dropout\(x, p\)"), ("CRF", "dy.CRFBuilder"),
     ("Bilinear", "dy.BiaffineBuilder"), ("decode_mst", "dy.chu_liu_edmonds or dy.eisner"),
     ("AdaptiveLogSoftmaxWithLoss", "dy.AdaptiveSoftmaxBuilder"),
     ("HierarchicalSoftmax", "dy.HierarchicalSoftmaxBuilder")],
)  # fmt: skip
def test_names_of_other_libraries(name, said):
    with pytest.raises(AttributeError, match=f"no attribute '{name}': use .*{said}"):
        getattr(dy, name)(1)


TABLE = MODEL.add_lookup_parameters((5, 3))
ONE = dy.inputVector([1, 2, 3])
NO_FUNCTIONS = [
    (
        lambda: TABLE([1, 2]),
        r"a LookupParameters is not a function: use E\[i\] for a row, dy.lookup_batch\(E, indices\)",
    ),
    (lambda: LSTM(ONE), r"a VanillaLSTMBuilder is not a function: use b.initial_state\(\).transduce\(xs\)$"),
    (lambda: OBJECTS["two ways"]([ONE]), r"a BiRNNBuilder is not a function: use b.transduce\(xs\)$"),
    (lambda: OBJECTS["tree"]([ONE]), r"use b.initial_state\(\).transduce\(xs, heads\)$"),
    (lambda: dy.StandardSoftmaxBuilder(3, 4, MODEL)(ONE), r"use layer.full_logits\(x\), or"),
    (lambda: list(MODEL), r"a ParameterCollection is not a list: use model.parameters_list\(\) and"),
    (lambda: MODEL[0], "is not a list: use model.parameters_list"),
    (lambda: TABLE[[1, 2]], r"lookup: an index must be an int, not list \[1, 2\]: dy.lookup_batch takes several"),
    (
        lambda: ONE[[0, 1]],
        r"an index must be an int, not list \[0, 1\]: dy.select_rows and dy.select_cols take several",
    ),
    (lambda: dy.inputTensor([[1, 2]])[:, [0, 1]], r"not list \[0, 1\]: dy.select_rows and dy.select_cols take several"),
    (lambda: MODEL.add_parameters(3, init="xavier"), "none of 'glorot', .*: use 'glorot'$"),
    (lambda: MODEL.add_parameters(3, init="golrot"), "none of 'glorot', .*: use 'glorot'$"),
    (lambda: MODEL.add_parameters(3, init="zeros"), "none of 'glorot', .*: use 0$"),
    (lambda: MODEL.add_parameters(3, init="kaiming"), "none of 'glorot', .*: use 'he'$"),
    (lambda: MODEL.add_parameters(3, init="x" * 1000), "init is 'x{39}, which is none of 'glorot'"),
    (lambda: dy.ParameterCollection([1]), "ParameterCollection: the parent must be one, not list$"),
    (lambda: TABLE[1:3], r"lookup: an index must be an int, not slice .*: dy.lookup_batch takes several$"),
    (lambda: TABLE[dy.scalarInput(1)], r"lookup: an index must be an int, not .*: take int\(...\) of its .value\(\)$"),
    (lambda: ONE[dy.scalarInput(1)], r"x\[...\]: an index must be an int, not .*: take int\(...\) of its .value\(\)$"),
    (lambda: dy.pick(ONE, dy.scalarInput(1)), r"pick: an index must be an int, .*: take int\(...\) of its .value\(\)$"),
    (
        lambda: dy.Tensor([1, 2]),
        r"Tensor: e.tensor_value\(\) makes one; dy.inputTensor\(...\) takes numbers$",
    ),
    (lambda: dy.Parameters(MODEL, (3,)), r"^Parameters: use add_parameters or"),
    (lambda: dy.LookupParameters(MODEL, (3, 2)), r"^LookupParameters: use .* or add_lookup_parameters of"),
]


@pytest.mark.parametrize(("call", "said"), NO_FUNCTIONS)
def test_what_is_no_function_and_no_list_says_what_is(call, said):
    with pytest.raises((dy.ArgumentTypeError, dy.InitializerError), match=said):
        call()


def test_names_without_end_are_cut():
    with pytest.raises(AttributeError, match="^ParameterCollection has no attribute 'x{39}: only"):
        setattr(MODEL, "x" * 1000, 1)
    with pytest.raises(TypeError, match=r"^tanh\(\): got an unexpected keyword argument 'x{39}: the arguments are x$"):
        dy.tanh(ONE, **{"x" * 1000: 1})


def test_classes_of_users_may_be_functions_and_lists():
    class Calls:
        def __call__(self, x):
            return x

        def __getitem__(self, i):
            return [5, 6][i]

    class Network(dy.GRUBuilder, Calls):
        pass

    class Models(dy.ParameterCollection, Calls):
        pass

    class Table(dy.ParameterCollection):
        def __iter__(self):
            return iter([1, 2])

    assert Network(1, 2, 3, MODEL)(7) == 7
    assert list(Models()) == [5, 6] and Models()(7) == 7 and list(Table()) == [1, 2]


def test_names_of_older_versions_of_dynet():
    with pytest.raises(AttributeError, match="use dy.concatenate_to_batch"):
        dy.concat_to_batch([])
    with pytest.raises(AttributeError, match="no base class: dy.save takes objects with"):

        class Network(dy.Saveable):
            pass


# `repr` of objects


def test_states_and_graphs_say_what_they_are():
    dy.renew_cg()
    graph = dy.cg()
    state = LSTM.initial_state()
    assert repr(graph) == f"<graph {graph.version()}: 0 expressions, computed>"
    about = f"<state of VanillaLSTMBuilder {LSTM.param_collection().name()} in graph {graph.version()}: "
    assert repr(state) == about + "before the first input>"
    state = state.add_input(dy.inputVector([1, 2]))
    assert repr(state) == f"{about}output {state.output()!r}>"
    assert repr(graph).endswith(" expressions, not computed to the end>")
    state.output().value()
    assert repr(graph).endswith(" expressions, computed>")


def test_networks_say_their_dropout():
    model = dy.ParameterCollection()
    for network in (dy.GRUBuilder(1, 2, 4, model), dy.BiRNNBuilder(1, 2, 4, model, dy.GRUBuilder)):
        assert "dropout" not in repr(network)
        network.set_dropout(0.25)
        assert repr(network).endswith("; dropout 0.25>")
        network.disable_dropout()
        assert "dropout" not in repr(network)
    lstm = dy.VanillaLSTMBuilder(1, 2, 4, model)
    lstm.set_dropouts(0.25, 0.5)
    assert repr(lstm).endswith("; dropout 0.25, 0.5>")


def test_the_table_of_a_large_collection_is_short():
    model = dy.ParameterCollection()
    for _ in range(10_000):
        model.add_parameters((1, 2))
    lines = str(model).splitlines()
    assert len(lines) == 65 and model._repr_html_().count("<tr>") == 63
    assert lines[31].split() == ["/_29", "(1,", "2)", "2", "yes", "8"]
    assert re.fullmatch(r"\.\.\. 9,940 more \.\.\. +19,880 +79,520", lines[32])
    assert lines[33].split()[0] == "/_9970"
    assert lines[-1].split() == ["10,000", "in", "all", "20,000", "80,000"]


@pytest.mark.parametrize(
    ("name", "shown"),
    [("a\nb", r"/a\nb"), ("\x1b[31m", r"/\x1b[31m"), ("é\u202e", r"/é\u202e"),
     ("x" * 200, f"/{'x' * 37}...{'x' * 38}")],
)  # fmt: skip
def test_odd_names_stand_on_one_line(name, shown):
    model = dy.ParameterCollection()
    p = model.add_parameters(1, name=name)
    assert p.name() == f"/{name}"
    assert repr(p) == f"Parameter {shown} (1,)"
    assert str(model).splitlines()[2].split("  ")[0] == shown and len(str(model).splitlines()) == 5


def test_the_shape_of_a_table_is_that_of_its_array():
    table = dy.ParameterCollection().add_lookup_parameters((5, 3, 2))
    assert table.shape == table.shape() == table.as_array().shape == np.asarray(table).shape == (5, 3, 2)
    # as an expression the rows come last, as in DyNet
    assert table.npvalue().shape == table.dim()[0] == (3, 2, 5)
    np.testing.assert_array_equal(np.moveaxis(table.npvalue(), -1, 0), table.as_array())
    flat = dy.ParameterCollection().add_lookup_parameters((5, 3))
    np.testing.assert_array_equal(flat.T.npvalue(), flat.as_array())


# Few calls below the user's


def table():
    return dy.ParameterCollection().add_lookup_parameters((5, 3))


DEEP = {
    "lookup, no index": lambda: dy.lookup(table(), dy.zeros(1)),
    "lookup, no row": lambda: dy.lookup(table(), 9),
    "lookup, fixed, no index": lambda: dy.lookup(table(), "a", False),
    "lookup, fixed, no row": lambda: dy.lookup(table(), 9, update=False),
    "lookup_batch, no list": lambda: dy.lookup_batch(table(), dy.zeros(1)),
    "lookup_batch, no index": lambda: dy.lookup_batch(table(), ["a"]),
    "lookup_batch, fixed, no row": lambda: dy.lookup_batch(table(), [9], False),
    "E[...]": lambda: table()["a"],
    "network, arguments in another order": lambda: dy.VanillaLSTMBuilder(MODEL, 1, 2, 3),  # type: ignore[arg-type]
    "transduce": lambda: dy.BiRNNBuilder(1, 3, 4, dy.Model(), dy.GRUBuilder).transduce([1]),
    "add_parameters": lambda: MODEL.add_parameters("a"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("what", DEEP)
def test_errors_are_raised_few_calls_below_the_users(what):
    dy.renew_cg()
    with pytest.raises((dy.ArgumentTypeError, dy.OutOfRangeError)) as caught:
        DEEP[what]()
    files = [frame.path.parts for frame in caught.traceback]
    assert 1 <= sum(any(part in PACKAGES for part in parts) for parts in files) <= 5


# Graphs of threads that have ended


def test_a_thread_that_has_ended_leaves_one_error():
    found = {}

    def work():
        found["x"], found["graph"] = dy.inputVector([1, 2]), dy.cg()
        found["version"] = found["graph"].version()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    x, graph, said = found["x"], found["graph"], set()
    for call in (x.value, lambda: graph.forward(0), graph.checkpoint, graph.revert, lambda: graph.backward(0)):
        with pytest.raises(dy.StaleExpressionError) as caught:
            call()
        said.add(str(caught.value))
    (message,) = said
    assert message.startswith(f"this expression belongs to graph {found['version']}, which renew_cg has replaced, or ")
    assert repr(graph) == f"<graph {found['version']} of a thread that has ended>"


def test_a_graph_of_another_thread_gives_no_expressions_of_this_one():
    found, go = {}, threading.Event()

    def work():
        found["x"], found["graph"] = dy.inputVector([1, 2]), dy.cg()
        ready.set()
        go.wait(60)

    ready, thread = threading.Event(), threading.Thread(target=work)
    thread.start()
    ready.wait(60)
    dy.renew_cg()
    dy.inputVector([3, 4])
    try:
        with pytest.raises(dy.StaleExpressionError, match="another thread's graph;"):
            found["graph"].forward_vec(0)
    finally:
        go.set()
        thread.join()
