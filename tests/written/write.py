"""Writes files of models and trainers into a folder, using the installed version: `python write.py FOLDER`.

`python write.py --pack FOLDER` prints a folder as base64 text, such as `31bc5def.txt`, which is from that commit.
"""

import base64
import io
import pickle
import sys
import tarfile
from pathlib import Path

import numpy as np

import dynet as dy

TRAINERS = [
    "SimpleSGDTrainer", "CyclicalSGDTrainer", "MomentumSGDTrainer", "AdagradTrainer", "AdadeltaTrainer",
    "RMSPropTrainer", "AdamTrainer", "AmsgradTrainer",
]  # fmt: skip
BUILDERS = ["VanillaLSTMBuilder", "CoupledLSTMBuilder", "GRUBuilder", "SimpleRNNBuilder", "NaryTreeLSTMBuilder"]


def model():
    """A model and its parameters, with the same values each time."""
    m = dy.ParameterCollection()
    w = m.parameters_from_numpy(np.arange(-3, 3, dtype=np.float32).reshape(2, 3) / 4, name="w")
    table = m.lookup_parameters_from_numpy(np.arange(8, dtype=np.float32).reshape(4, 2) / 8, name="table")
    return m, w, table


def steps(w, table, trainer, numbers):
    """Train. Gradients are exact, so that all processors compute the same bits."""
    for k in numbers:
        dy.renew_cg()
        x = dy.inputTensor(np.linspace(-1, 1, 6).reshape(2, 3) * (k + 1) / 8)
        loss = dy.dot_product(w, x) + dy.dot_product(table[k % 4], dy.inputVector([0.5, -0.25 * k]))
        loss.backward()
        trainer.update()


def builder(name, m):
    arguments = [m] if name != "NaryTreeLSTMBuilder" else [m, 2]
    return getattr(dy, name)(1, 2, 2, *arguments)


def fill(m):
    for number, p in enumerate([*m.parameters_list(), *m.lookup_parameters_list()]):
        if isinstance(p, dy.LookupParameters):
            p.init_from_array(np.full(p.shape(), number / 4))
        else:
            p.set_value(np.full(p.shape(), number / 4))


def write(folder):
    for name in TRAINERS:
        m, w, table = model()
        trainer = getattr(dy, name)(m)
        steps(w, table, trainer, range(3))
        trainer.save(folder / f"{name}.trainer")
        m.save(folder / f"{name}.model")
        pickled = pickle.dumps(trainer)
        (folder / f"{name}.pickle").write_bytes(pickled)
        steps(w, table, trainer, range(3, 6))
        np.save(folder / f"{name}.npy", np.concatenate([w.as_array().ravel(), table.as_array().ravel()]))
    for name in BUILDERS:
        m = dy.ParameterCollection()
        built = builder(name, m)
        fill(m)
        dy.save(str(folder / name), [built, m.add_parameters((2,), init=1.5)])


if __name__ == "__main__":
    folder = Path(sys.argv[-1])
    if sys.argv[1] == "--pack":
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:xz") as files:
            for path in sorted(folder.iterdir()):
                entry = tarfile.TarInfo(path.name)
                entry.size = path.stat().st_size
                files.addfile(entry, io.BytesIO(path.read_bytes()))
        print(base64.encodebytes(packed.getvalue()).decode(), end="")
    else:
        write(folder)
