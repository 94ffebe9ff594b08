"""Losses of the example tagger over the first updates: tagger_training.py sgd|adam UPDATES."""

import random
import sys
from pathlib import Path

from report import report

import dynet as dy

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "examples" / "tagger"))

from model import Tagger, Vocabulary  # noqa: E402

MINIBATCH = 8


def made_up_sentences(count):
    rng = random.Random(5)
    words = ["".join(rng.choice("abcdefgh") for _ in range(rng.randint(1, 8))) for _ in range(200)]
    tags = ["NOUN", "VERB", "ADJ", "ADV", "PUNCT"]
    tag_of = {word: rng.choice(tags) for word in words}
    sentences = []
    for _ in range(count):
        chosen = [words[int(rng.random() ** 2 * len(words))] for _ in range(rng.randint(3, 20))]
        sentences.append([(word, tag_of[word]) for word in chosen])
    return sentences


def main():
    trainer_name, updates = sys.argv[1], int(sys.argv[2])
    dy.reset_random_seed(13)
    sentences = made_up_sentences(MINIBATCH * updates)
    tagger = Tagger(Vocabulary.of(sentences))
    trainer = {"sgd": dy.SimpleSGDTrainer, "adam": dy.AdamTrainer}[trainer_name](tagger.parameters)
    losses = []
    for start in range(0, len(sentences), MINIBATCH):
        loss = tagger.loss(sentences[start : start + MINIBATCH])
        losses.append(loss.value())
        loss.backward()
        trainer.update()
    losses.append(tagger.loss(sentences[:MINIBATCH]).value())
    report({"losses": losses})


if __name__ == "__main__":
    main()
