"""Saves two models alternately to one file, in child processes that are killed at random moments.

Usage: kill_saves.py FOLDER ROUNDS FORMAT, where FORMAT is `text`, `safetensors` or `objects`. After each kill, the file
must contain one of the two models completely. Prints how often each was found, and how many kills came during a save.
"""

import os
import random
import re
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import dynet_core as dy


class Layer:
    """A user-defined object whose spec differs between the two models."""

    def __init__(self, model, value):
        self.spec = (value,)
        self.collection = model.add_subcollection("layer")
        self.collection.add_parameters((100, 30), init=value)
        self.collection.add_lookup_parameters((50, 40), init=value)

    def param_collection(self):
        return self.collection

    @classmethod
    def from_spec(cls, spec, model):
        return cls(model, *spec)


class Models:
    def __init__(self, folder: Path, form: str):
        self.form = form
        self.file = folder / ("model.safetensors" if form == "safetensors" else "model")
        self.both = [Layer(dy.ParameterCollection(), value) for value in (1, 2)]

    def save(self, layer: Layer) -> None:
        if self.form == "objects":
            dy.save(self.file, [layer])
        else:
            layer.collection.save(self.file)

    def found(self) -> int:
        """Which of the two models the file contains: 1 or 2. A mixture is an error."""
        if self.form == "objects":
            (layer,) = dy.load(self.file, dy.ParameterCollection())
        else:
            layer = Layer(dy.ParameterCollection(), 0)
            layer.collection.populate(self.file)
        everything = [*layer.collection.parameters_list(), *layer.collection.lookup_parameters_list()]
        values = {value for p in everything for value in p.as_array().ravel().tolist()}
        (value,) = values
        assert self.form != "objects" or layer.spec == (value,)
        return int(value)


class Saving:
    """A child process that saves the two models alternately until it is killed, and reports each completed save."""

    def __init__(self, models: Models):
        self.done, done = os.pipe()
        self.child = os.fork()
        if not self.child:
            while True:
                for layer in models.both:
                    models.save(layer)
                    os.write(done, b"!")
        os.close(done)

    def wait(self, saves: int) -> float:
        """Wait for this many saves; return how long the last one took."""
        for _ in range(saves):
            begin = time.perf_counter()
            assert os.read(self.done, 1), "the child has ended by itself"
        return time.perf_counter() - begin

    def kill(self) -> None:
        os.kill(self.child, signal.SIGKILL)
        os.waitpid(self.child, 0)
        os.close(self.done)


def remove_temporary(folder: Path) -> int:
    """Remove the temporary files that a killed save left behind; return their number."""
    left = [path for path in folder.iterdir() if re.search(r"\.[0-9a-f]{12}$", path.name)]
    for path in left:
        path.unlink()
    return len(left)


def main():
    folder, rounds, form = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    models = Models(folder, form)
    models.save(models.both[0])
    counts, interrupted = Counter(), 0
    for _ in range(rounds):
        saving = Saving(models)
        # However busy the machine is, the kill comes during or shortly after one of the next saves.
        one_save = saving.wait(random.randrange(1, 5))
        time.sleep(random.uniform(0, 1.2 * one_save))
        saving.kill()
        interrupted += remove_temporary(folder) > 0
        counts[models.found()] += 1
    print({"found": dict(counts), "interrupted": interrupted})


if __name__ == "__main__":
    main()
