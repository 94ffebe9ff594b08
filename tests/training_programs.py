"""A training program for tests that add lines to it and run it in a separate process."""

import os
import subprocess
import sys

TRAIN = """
import hashlib
import os
import sys
import threading
import time
import numpy as np
import dynet as dy
from dynet_kernels.machine import sharing

def train(builder, trainer, width=40, steps=3):
    dy.reset_random_seed(5)
    draw = np.random.default_rng(2)
    model = dy.ParameterCollection()
    E, W = model.add_lookup_parameters((60, 24)), model.add_parameters((7, 2 * width))
    V, b = model.add_parameters((2 * width, width)), model.add_parameters(2 * width)
    rnn = builder(2, 24, width, model)
    trainer = trainer(model)
    for _ in range(steps):
        dy.renew_cg()
        losses = []
        for _ in range(6):
            words = draw.integers(0, 60, draw.integers(2, 9)).tolist()
            for word, h in zip(words, rnn.initial_state().transduce([E[word] for word in words])):
                wide = dy.rectify(dy.affine_transform([b, V, dy.dropout(h, 0.2)]))
                losses.append(dy.pickneglogsoftmax(W * wide, word % 7))
        dy.esum(losses).backward()
        trainer.update()
    values = [p.as_array() for p in (*model.parameters_list(), *model.lookup_parameters_list())]
    assert all(np.isfinite(value).all() for value in values)
    return hashlib.sha256(b"".join(value.tobytes() for value in values)).hexdigest()
"""


def run(program, begin="", **environment):
    """Run `begin` and TRAIN in a new process, limited to this many `cores`; return the output."""
    if cores := environment.pop("cores", None):
        begin += f"import os\nos.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:{cores}])\n"
    clean = {k: v for k, v in os.environ.items() if k not in ("DYNET_NUM_THREADS", "OMP_NUM_THREADS")}
    environment = {**clean, "DYNET_LSTM_BUILDER": "vanilla", **environment}
    command = [sys.executable, "-W", "error", "-c", begin + TRAIN + program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()
