"""Compares inference of a BiLSTM in int8 and in float32, one sentence at a time, with onnxruntime on one core.

    ONNX_PYTHON=/path/to/python python benchmarks/int8.py [--units 256 50] [--words 20] [--rounds 9]

The network has word vectors of `units` numbers and one layer of two LSTMs of `units` units; the outputs of all words
are read. ONNX_PYTHON names a Python with numpy, onnx and onnxruntime; without it, only this project runs. onnxruntime
quantizes as it recommends for LSTMs, dynamically. All processes get the same weights, take turns, and are timed by CPU
time. Prints medians in microseconds per sentence, and the largest differences of an output from float32 here.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

VOCABULARY, TURN = 1000, 0.4  # words; seconds of CPU time
KINDS = ("here, float32", "here, int8", "onnxruntime, float32", "onnxruntime, int8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--units", type=int, nargs="+", default=[256, 50])
    parser.add_argument("--words", type=int, default=20, help="of a sentence (default: 20)")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)))
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)  # in a child process: the kind and the weights' file
    options = parser.parse_args()
    if options.run:
        answer(*options.run, options.words)
        return
    for units in options.units:
        compare(units, options)


def compare(units: int, options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder, "weights.npz")
        np.savez(weights, **random_weights(units))
        processes = {}
        for kind in KINDS:
            python = sys.executable if kind.startswith("here") else os.environ.get("ONNX_PYTHON")
            if python:
                command = [python, __file__, "--run", kind, str(weights), "--words", str(options.words)]
                process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
                os.sched_setaffinity(process.pid, {options.core})
                processes[kind] = process
        outputs = {kind: np.array(json.loads(process.stdout.readline())) for kind, process in processes.items()}
        times: dict[str, list[float]] = {kind: [] for kind in processes}
        for _ in range(options.rounds):
            for kind, process in processes.items():
                process.stdin.write("\n")
                process.stdin.flush()
                times[kind].append(float(process.stdout.readline()))
        for process in processes.values():
            process.communicate()
    print(f"2 x {units} units, {options.words} words")
    ours = outputs[KINDS[0]]
    for kind, found in times.items():
        difference = np.abs(outputs[kind] - ours).max()
        print(f"  {kind:22}{1e6 * statistics.median(found):8.1f} us   differs by {difference:.4f}")


def random_weights(units: int) -> dict[str, np.ndarray]:
    """Return word vectors, and Wx, Wh and b of both directions. The order of gates is ONNX's: i, o, f, g."""
    rng = np.random.default_rng(units)
    shapes = {"E": (VOCABULARY, units), "W": (2, 4 * units, units), "R": (2, 4 * units, units), "B": (2, 4 * units)}
    return {name: rng.uniform(-1, 1, shape).astype("f") * (3 / units) ** 0.5 for name, shape in shapes.items()}


def answer(kind: str, file: str, words: int) -> None:
    """Print the outputs for a sentence, then for each line of stdin the CPU time of a sentence."""
    weights = dict(np.load(file))
    make = dynet_network if kind.startswith("here") else onnx_network
    run = make(weights, kind.endswith("int8"))
    sentences = np.random.default_rng(1).integers(0, VOCABULARY, (50, words))
    print(json.dumps(run(sentences[0]).tolist()), flush=True)
    for sentence in sentences:
        run(sentence)
    for _ in sys.stdin:
        start, done = time.process_time(), 0
        while time.process_time() - start < TURN:
            for sentence in sentences:
                run(sentence)
            done += len(sentences)
        print((time.process_time() - start) / done, flush=True)


def dynet_network(weights: dict[str, np.ndarray], int8: bool):
    import dynet as dy

    units = weights["E"].shape[1]
    model = dy.ParameterCollection()
    table = model.lookup_parameters_from_numpy(weights["E"])
    reader = dy.BiRNNBuilder(1, units, 2 * units, model, dy.VanillaLSTMBuilder)
    order = np.concatenate([np.arange(units) + units * gate for gate in (0, 2, 1, 3)])  # here: i, f, o, g
    for builders, n in ((0, 0), (1, 1)):
        wx, wh, b = reader.builder_layers[0][builders].get_parameters()[0]
        wx.set_value(weights["W"][n][order])
        wh.set_value(weights["R"][n][order])
        b.set_value(weights["B"][n][order])
    if int8:
        model.quantize()

    def run(sentence):
        dy.renew_cg()
        return dy.concatenate_cols(reader.transduce([table[word] for word in sentence.tolist()])).npvalue().T

    return run


def onnx_network(weights: dict[str, np.ndarray], int8: bool):
    import onnx
    import onnxruntime
    from onnx import helper, numpy_helper
    from onnxruntime.quantization import QuantType, quantize_dynamic

    units = weights["E"].shape[1]
    bias = np.concatenate([weights["B"], np.zeros_like(weights["B"])], 1)
    bias[:, 2 * units : 3 * units] += 1  # DyNet adds 1 to the forget gate
    tensors = {**weights, "B": bias, "shape": np.array([0, -1])}
    nodes = [
        helper.make_node("Gather", ["E", "sentence"], ["x"]),
        helper.make_node("LSTM", ["x", "W", "R", "B"], ["y"], direction="bidirectional", hidden_size=units),
        helper.make_node("Squeeze", ["y", "axis"], ["squeezed"]),
        helper.make_node("Reshape", ["squeezed", "shape"], ["outputs"]),
    ]
    tensors["axis"] = np.array([2])
    graph = helper.make_graph(
        nodes,
        "bilstm",
        [helper.make_tensor_value_info("sentence", onnx.TensorProto.INT64, ["words", 1])],
        [helper.make_tensor_value_info("outputs", onnx.TensorProto.FLOAT, None)],
        [numpy_helper.from_array(tensor, name) for name, tensor in tensors.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        onnx.save(model, path)
        if int8:
            quantize_dynamic(path, path, op_types_to_quantize=["LSTM"], weight_type=QuantType.QInt8)
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = settings.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    return lambda sentence: session.run(None, {"sentence": sentence[:, None]})[0]


if __name__ == "__main__":
    main()
