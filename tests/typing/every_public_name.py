"""A program that uses every public name, as users would; `nox -s types` checks it, and a test runs it.

The checks are pyright's, standard and strict, and `mypy --strict`, all without a single error. Functions are called,
and methods are used on each kind of object. `names_of_ops.py` and `names_of_models.py` are parts of it.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
import warnings

from calls_of_ops import calls
from names_of_models import (
    Halves,
    functions_and_structures,
    networks,
    pairs_of_words,
    parameters,
    random_fields,
    softmaxes,
    trainers,
    transformers,
    trees,
    words,
)
from names_of_ops import (
    convolutions,
    elementwise,
    inputs,
    lstm_by_hand,
    of_matrices,
    of_two,
    of_vectors,
    operators,
    values_of,
)

import dynet as dy


def graphs() -> None:
    """The graph of this thread, and functions related to it."""
    graph: dy.ComputationGraph = dy.renew_cg(check_validity=True)
    x = dy.inputVector([1, 2])
    loss = dy.sum_elems(x)
    graph.forward(x.at)
    graph.inc_forward(x.at)
    total = graph.forward_scalar(loss.at) + graph.inc_forward_scalar(loss.at)
    total += sum(graph.forward_vec(x.at)) + sum(graph.inc_forward_vec(x.at))
    graph.backward(loss.at)
    graph.checkpoint()
    graph.inputMatrixLiteral([1, 2, 3, 4], (2, 2))
    graph.inputSparseTensor([0, 3], [5, 6], (2, 2))
    graph.revert()
    dy.cg_checkpoint()
    dy.cg_revert()
    graph.dump(nan_check_only=True)
    graph.print_graphviz()
    dy.dump_cg(show_gradients=False)
    dy.print_graphviz(expression_names={x: "x"})
    dy.show_plan()
    dy.print_text_graphviz()
    print(total, dy.cg_version() == dy.cg().version(), graph.renew())
    with dy.graph() as inner:
        print(inner.parameters(dy.Model().add_parameters(2)))
    dy.reset_random_seed(1)


def settings() -> None:
    """Settings, devices and profiles."""
    params = dy.DynetParams()
    params.set_mem("512")
    params.set_random_seed(1)
    params.set_threads(1)
    params.set_own_classes(True)
    params.own_classes = True
    params.set_requested_gpus(0)
    params.set_gpu_mask([])
    params.set_tf32(False)
    params.set_bf16("emulate")
    params.set_bf16(False)
    params.set_shared_parameters(False)
    params.set_weight_decay(0.0)
    params.set_autobatch(True)
    params.set_profiling(0)
    params.set_allow([Halves])
    params.set_cpu_mode()
    params.from_args()
    params.read(["--dynet-seed", "1"])
    params.change({"threads": 1})
    params.from_config({
        "mem": "512", "seed": 1, "autobatch": 0, "profiling": 0, "weight_decay": 0, "shared_params": 0,
        "requested_gpus": 0,
    })  # fmt: skip
    print(params.mem, params.random_seed, params.threads, params.requested_gpus, params.gpu_ids, params.devices)
    print(
        params.gpu,
        params.tf32,
        params.bf16,
        params.viz,
        params.shared_parameters,
        params.weight_decay,
        params.autobatch,
    )
    print(params.profiling, params.lstm_builder, len(params.allow))
    params.init()
    dy.init_from_params(params)
    dy.init(shared_parameters=False)
    info: dy.DeviceInfo = dy.get_device_info(dy.available_devices()[0])
    print(info.name, info.id, info.type, dy.HAVE_CUDA, dy.__version__)
    print(dy.dynet_config.get(), dy.dynet_config.gpu())
    with dy.profile() as times:
        dy.tanh(dy.ones(2)).value()
    times.save(dy.os.devnull)
    print(times, len(times.events), [line.calls + line.columns + line.seconds for line in times.kernels.values()])
    print(len(times.phases), dy.np.float32(1), dy.pickle.dumps(1), dy.sys.version)


def mutable_values() -> float:
    """Mutable values, like DyNet's wrappers of C++ values."""
    number, whole = dy.FloatValue(1.5), dy.UnsignedValue(2)
    numbers, wholes = dy.FloatVectorValue([1.0, 2.0]), dy.UnsignedVectorValue([1, 2])
    number.set(2.5)
    whole.set(3)
    numbers.set([3.0])
    wholes.set([3])
    return number.get() + whole.get() + sum(numbers.get()) + sum(wholes.get()) + numbers.size() + wholes.size()


def errors() -> list[str]:
    """Errors, each of which also derives from a Python error."""
    kinds: list[type[dy.DynetError]] = [
        dy.ArgumentError, dy.ArgumentTypeError, dy.DeviceError, dy.FileFormatError, dy.GradientError,
        dy.InitializerError, dy.MissingFileError, dy.NotFiniteError, dy.OutOfMemoryError, dy.OutOfRangeError,
        dy.ParallelError, dy.ParameterNameError, dy.ShapeError, dy.StaleExpressionError, dy.TooLargeError,
    ]  # fmt: skip
    try:
        print(dy.inputVector([1, 2]) + dy.inputVector([1, 2, 3]))
    except dy.ShapeError as error:
        warnings.simplefilter("error", dy.DynetWarning)
        return [str(error), *(kind.__name__ for kind in kinds)]
    return []


def builder_of(kind: type[dy._RNNBuilder]) -> dy._RNNBuilder:  # pyright: ignore[reportPrivateUsage]  # DyNet's own name
    """A network whose class is a setting."""
    return kind(1, 3, 2, dy.Model())


def main() -> None:
    dy.renew_cg()
    x, y, square = dy.inputVector([1.5, 2.5, 3.5]), dy.inputVector([1, 2, 3]), dy.inputTensor([[2.0, 1.0], [1.0, 3.0]])
    found = inputs() + elementwise(x) + operators(x, y) + of_two(x, y) + of_vectors(x) + convolutions()
    found += of_matrices(dy.random_normal((4, 3)), square)
    dy.forward(found)
    calls()
    m = dy.ParameterCollection()
    print(lstm_by_hand().npvalue(), values_of(x), softmaxes().value(), random_fields(m).value())
    print(networks(m).value(), trees(m).value(), transformers(m).value(), pairs_of_words(m).value())
    functions_and_structures()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        parameters(folder)
        words(folder)
        trainers(m, folder)
    graphs()
    print(mutable_values(), errors(), builder_of(dy.GRUBuilder).whoami())
    settings()


if __name__ == "__main__":
    main()
