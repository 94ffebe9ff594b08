"""Trains the tagger or the language model of the examples, and prints the held-out figure after each epoch.

    python benchmarks/quality.py tagger --seed 1 [--dynet-bf16]
    python benchmarks/quality.py language_model --seed 1

The figure is the accuracy of the tagger, or the perplexity of the language model. The last line is the figure of the
trained model in int8. Needs `pip install conllu turkish-treebanks`. Runs with the same seed begin with the same values
and see the same sentences in the same order.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

EXAMPLES, MINIBATCH = Path(__file__).resolve().parents[1] / "examples", 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("example", choices=["tagger", "language_model"])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=5)
    options, _ = parser.parse_known_args()  # `import dynet` has read what begins with --dynet
    sys.path[:0] = [str(EXAMPLES), str(EXAMPLES / options.example)]
    import dynet as dy

    make = tagger if options.example == "tagger" else language_model
    dy.reset_random_seed(options.seed)
    parameters, sentences, loss, rate, figure = make(options.seed)
    trainer, order = dy.AdamTrainer(parameters, rate), random.Random(options.seed)
    for epoch in range(1, options.epochs + 1):
        order.shuffle(sentences)
        for start in range(0, len(sentences), MINIBATCH):
            loss(sentences[start : start + MINIBATCH]).backward()
            trainer.update()
        print(f"epoch {epoch}: {figure():.4f}", flush=True)
    parameters.quantize()
    print(f"int8: {figure():.4f}")


Made = tuple[Any, list[Any], Callable, float, Callable[[], float]]
"""The parameters, the sentences to train on, their loss, the learning rate, and the held-out figure."""


def tagger(seed: int) -> Made:
    import model
    import train

    training, dev = train.read_data(train.read_options(["--seed", str(seed)]))
    network = model.Tagger(model.Vocabulary.of(training))

    def accuracy() -> float:
        return train.measure(network, train.minibatches(dev, MINIBATCH, "dev", False)) / sum(map(len, dev))

    return network.parameters, training, network.loss, 0.001, accuracy


def language_model(seed: int) -> Made:
    import train
    import treebank

    training, held_out = treebank.split(treebank.read(), None, seed)
    vocabulary = train.Vocabulary(training)
    seen, unseen = ([vocabulary.numbers(sentence) for sentence in part] for part in (training, held_out))
    network = train.LanguageModel(len(vocabulary))

    def perplexity() -> float:
        return math.exp(train.loss_of(network, unseen, MINIBATCH) / sum(map(len, unseen)))

    return network.parameters, seen, lambda part: network.loss(part, train.DROPOUT), 0.002, perplexity


if __name__ == "__main__":
    main()
