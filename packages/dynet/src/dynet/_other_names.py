"""What the error message for a missing name such as `dy.relu` or `dy.Adam` suggests to use instead.

There are hints for names that other libraries use, and, where a package of this library is not installed, for
misspelled names. Elsewhere Python often suggests a name when it prints an error that ends a program.

Where all packages are installed, the names of other libraries are objects of the class `StandIn`. A function
`__getattr__` of the module `dynet` would raise the error earlier, when the name is read. But CPython reads every name
of a module with such a function at least 18 ns more slowly, which is about as long as recording an operation takes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn

from dynet import _installation

PARTS: dict[str, str] = {
    # Names that other libraries use for trainers
    "AMSGrad": "dy.AmsgradTrainer",
    "Adadelta": "dy.AdadeltaTrainer",
    "Adagrad": "dy.AdagradTrainer",
    "Adam": "dy.AdamTrainer",
    "AdamOptimizer": "dy.AdamTrainer",
    "AdamW": "dy.AdamTrainer, with model.set_weight_decay(learning rate * weight decay)",
    "CyclicLR": "dy.CyclicalSGDTrainer",
    "GradientDescentOptimizer": "dy.SimpleSGDTrainer",
    "MomentumOptimizer": "dy.MomentumSGDTrainer",
    "Optimizer": "dy.Trainer",
    "RMSProp": "dy.RMSPropTrainer",
    "RMSprop": "dy.RMSPropTrainer",
    "StepLR": "trainer.learning_rate = rate, or edecay of the trainer and trainer.update_epoch()",
    "SGD": "dy.SimpleSGDTrainer or dy.MomentumSGDTrainer",
    "clip_grad_norm": "trainer.set_clip_threshold(...)",
    "clip_grad_norm_": "trainer.set_clip_threshold(...)",
    "optim": "dy.AdamTrainer and the other trainers",
    "optimizers": "dy.AdamTrainer and the other trainers",
    # Names that other libraries use for networks
    "BiLSTM": "dy.BiRNNBuilder",
    "CRF": "dy.logsumexp of the scores before each word, minus the score of the right tags",
    "DataLoader": "random.shuffle(examples) and slices of them: examples of all shapes are batched by themselves",
    "Dropout": "dy.dropout(x, p), or network.set_dropout(p)",
    "Bidirectional": "dy.BiRNNBuilder",
    "GRU": "dy.GRUBuilder",
    "GRUCell": "dy.GRUBuilder",
    "LSTM": "dy.VanillaLSTMBuilder",
    "LSTMCell": "dy.VanillaLSTMBuilder",
    "RNN": "dy.SimpleRNNBuilder",
    "RNNBuilder": "dy.SimpleRNNBuilder",
    "RNNCell": "dy.SimpleRNNBuilder",
    "SimpleRNN": "dy.SimpleRNNBuilder",
    "TreeLSTM": "dy.ChildSumTreeLSTMBuilder or dy.NaryTreeLSTMBuilder",
    # Names that other libraries use for parameters and collections of them
    "Dense": "dy.affine_transform([b, W, x]), where W and b come from model.add_parameters",
    "Embedding": "model.add_lookup_parameters((rows, dim)), of which E[i] is a row",
    "Linear": "dy.affine_transform([b, W, x]), where W and b come from model.add_parameters",
    "LookupParameter": "model.add_lookup_parameters((rows, dim))",
    "Module": "dy.ParameterCollection",
    "Parameter": "model.add_parameters(dims)",
    "ParameterList": "dy.ParameterCollection",
    "Variable": "model.add_parameters(dims)",
    "glorot_uniform": "dy.GlorotInitializer",
    "nn": "dy.ParameterCollection for parameters, and functions such as dy.affine_transform and dy.tanh",
    "orthogonal": "dy.SaxeInitializer",
    "Saveable": "no base class: dy.save takes objects with param_collection(), spec and from_spec()",
    "parameters": "dy.parameter or model.parameters_list()",
    "xavier_uniform_": "dy.GlorotInitializer",
    # Names that other libraries use for graphs, values and functions
    "allclose": "numpy.allclose(x.npvalue(), y.npvalue())",
    "arange": "dy.inputVector(range(n))",
    "argmin": "dy.argmax(-x, gradient_mode)",
    "argsort": "numpy.argsort(x.npvalue())",
    "backward": "loss.backward()",
    "broadcast_to": "x itself: sizes of 1 go with any other",
    "chunk": "x[begin:end]",
    "device": "dynet_config.set_gpu() before import dynet, or --dynet-gpu on the command line",
    "cosine_similarity": "dy.dot_product(x, y) / (dy.l2_norm(x) * dy.l2_norm(y))",
    "eval": "e.value(); networks have disable_dropout()",
    "exp2": "2 ** x",
    "expand": "x itself: sizes of 1 go with any other",
    "expm1": "dy.exp(x) - 1",
    "eye": "dy.inputTensor(numpy.eye(n))",
    "gelu": "dy.cmult(x, 0.5 + 0.5 * dy.erf(x / 2**0.5))",
    "grad": "loss.backward(), then p.gradient() or trainer.update()",
    "isnan": "numpy.isnan(x.npvalue())",
    "item": "e.value()",
    "leaky_relu": "dy.bmax(x, 0.01 * x)",
    "linspace": "dy.inputVector(numpy.linspace(...))",
    "load_model": "model.populate(path)",
    "load_state_dict": "model.populate(path)",
    "log10": "dy.log(x) / math.log(10)",
    "log1p": "dy.log(x + 1)",
    "log2": "dy.log(x) / math.log(2)",
    "manual_seed": "dy.reset_random_seed",
    "mish": "dy.cmult(x, dy.tanh(-dy.log_sigmoid(-x)))",
    "new_graph": "dy.renew_cg",
    "npvalue": "e.npvalue()",
    "numpy": "e.npvalue()",
    "ones_like": "dy.ones(*x.dim())",
    "outer": "x * dy.transpose(y)",
    "prod": "dy.exp(dy.sum_elems(dy.log(x))) of positive numbers",
    "reciprocal": "1 / x",
    "relu6": "dy.bmin(dy.rectify(x), dy.constant(1, 6))",
    "remainder": "x - dy.cmult(y, dy.floor(x / y))",
    "renew": "dy.renew_cg",
    "renew_graph": "dy.renew_cg",
    "rsqrt": "x ** -0.5",
    "save_model": "model.save(path)",
    "seed": "dy.reset_random_seed",
    "set_num_threads": "dynet_config.set(threads=n) before import dynet, or --dynet-threads n",
    "set_random_seed": "dy.reset_random_seed",
    "sign": "numpy.sign(x.npvalue())",
    "softmin": "dy.softmax(-x)",
    "softplus": "-dy.log_sigmoid(-x)",
    "sort": "numpy.sort(x.npvalue())",
    "split": "x[begin:end]",
    "tile": "dy.concatenate([x] * n)",
    "topk": "e.tensor_value().topk(...)",
    "unbind": "list(x)",
    "unstack": "list(x)",
    "value": "e.value()",
    "where": "dy.cmult(mask, x) + dy.cmult(1 - mask, y), of a mask of 0 and 1 and finite x and y",
    "zeros_like": "dy.zeros(*x.dim())",
}
"""Maps a name of another library to what to use here. Names of operations are in `dynet_ops.other_names` instead."""
PARTS["AdamWTrainer"] = PARTS["AdamW"]


class StandIn:
    # Stands in `dynet` for a name that only other libraries have, such as `relu`. To call it, to read its members, and
    # most other uses raise an AttributeError with a hint; comparisons, `bool` and `repr` do not, because tools call
    # them. `hasattr(dy, "relu")` is true, but `dir(dy)` and `dy.__all__` do not have the name.

    __slots__ = ("_name", "_use")

    def __init__(self, name: str, use: str):
        self._name, self._use = name, use

    def _refuse(self, *arguments: Any, **named: Any) -> NoReturn:
        raise AttributeError(f"module 'dynet' has no attribute {self._name!r}: use {self._use}")

    __call__ = __getitem__ = __iter__ = __reversed__ = __enter__ = __exit__ = _refuse
    __mro_entries__ = __instancecheck__ = __subclasscheck__ = _refuse  # base classes, `isinstance` and `issubclass`
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __neg__ = _refuse
    __or__ = __ror__ = __float__ = __int__ = __index__ = __format__ = _refuse

    @property
    def __doc__(self) -> str:  # type: ignore[override]  # what `help` and notebooks show
        return f"No attribute of dynet: use {self._use}."

    def __getattr__(self, attribute: str) -> NoReturn:
        if attribute.startswith("__"):  # tools ask any object for these
            raise AttributeError(attribute)
        self._refuse()

    def __repr__(self) -> str:
        return f"<no attribute of dynet: use {self._use}>"


def stand_ins(public: Iterable[str]) -> dict[str, StandIn]:
    """Return an object for each name of another library that has a hint. `public` has the names that exist."""
    known = set(public)
    uses = {name: use_for(name, known) for name in {*PARTS, *_operations()} - known}
    return {name: StandIn(name, use) for name, use in uses.items() if use}


def use_for(name: str, known: set[str]) -> str:
    """Return what to use for a name of another library; "" if nothing is known. `known` are the names that exist."""
    return PARTS.get(name) or _alternatives(
        [f"dy.{each}" for each in _operations().get(name, "").split() if each in known]
    )


def _operations() -> dict[str, str]:
    """Return the names of operations in other libraries, and what they are called here; {} without dynet-ops."""
    if not _installation.is_installed("dynet_ops"):
        return {}
    from dynet_ops.other_names import OPERATIONS

    return OPERATIONS


def hint(name: str, public: Iterable[str]) -> str:
    """Return the end of the error message for a missing name: what to use instead; "" if nothing is known.

    Args:
        name: the name that does not exist in `dynet`.
        public: the names that exist.
    """
    known = set(public)
    use = use_for(name, known)
    if not use and not name.startswith("_"):
        # This import is not at the top because `dynet` checks the installation before it imports other packages.
        from dynet_core.hints import nearest

        found = nearest(name, known)
        use = f"dy.{found}" if found else ""
    return f": use {use}" if use else ""


def message(name: str, public: Iterable[str], version: str) -> str:
    """Return the error message for a missing name, with a hint, and with the package that may have it.

    Args:
        name, public: as for `hint`.
        version: the version of this library.
    """
    extra = _installation.extra_with(name)
    command = f'pip install "dynet-core[{extra}]=={version}"'
    package = f"; dynet-{extra} is not installed and may have it: {command}" if extra else ""
    return f"module 'dynet' has no attribute {name!r}{hint(name, public)}{package}"


def _alternatives(names: list[str]) -> str:
    return " or ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
