"""Training twice with the same seed, in separate processes, gives bit-identical parameters."""

import subprocess
import sys

PROGRAM = """
import sys
import numpy as np
import dynet as dy

dy.reset_random_seed(7)
model = dy.ParameterCollection()
E, W = model.add_lookup_parameters((50, 16)), model.add_parameters((5, 24))
network = dy.BiRNNBuilder(1, 16, 24, model, dy.VanillaLSTMBuilder)
trainer = dy.AdamTrainer(model)
choose = np.random.default_rng(3)
for _ in range(100):
    dy.renew_cg()
    losses = []
    for _ in range(4):
        words = choose.integers(0, 50, choose.integers(1, 12)).tolist()
        for word, output in zip(words, network.transduce([E[word] for word in words])):
            losses.append(dy.pickneglogsoftmax(W * dy.dropout(output, 0.3), word % 5))
    dy.esum(losses).backward()
    trainer.update()
model.save(sys.argv[1])
"""


def test_a_hundred_batched_steps_are_bit_equal(tmp_path):
    files = [tmp_path / name for name in ("first", "second")]
    for file in files:
        subprocess.run([sys.executable, "-c", PROGRAM, str(file)], check=True, timeout=300)
    first, second = [file.read_bytes() for file in files]
    assert first == second
