"""Saves one of two models over the other again and again, in children killed at random moments.

kill_saves.py FOLDER ROUNDS FORMAT: after each kill, whatever is there must be one of the two, whole. FORMAT is
`text`, `safetensors` or `objects`. Prints how often each was found.
"""

import os
import random
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import dynet_core as dy


class Layer:
    """An object of a user's, whose spec differs between the two models."""

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
        """Which of the two models is there: 1 or 2. Anything between is an error."""
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


def main():
    folder, rounds, form = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    models = Models(folder, form)
    models.save(models.both[0])
    started = time.perf_counter()
    models.save(models.both[0])
    one_save = time.perf_counter() - started
    counts = Counter()
    for _ in range(rounds):
        child = os.fork()
        if not child:
            while True:
                for layer in models.both:
                    models.save(layer)
        time.sleep(random.uniform(0, 4 * one_save))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        counts[models.found()] += 1
    print(dict(counts))


if __name__ == "__main__":
    main()
