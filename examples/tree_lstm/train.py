"""Train a child-sum TreeLSTM on the dependency trees of the Turkish Web Treebank.

    python train.py --epochs 5

It reads each tree from the leaves to the root and says of every word what relation it has to its head, from the word
and all that depends on it. After each epoch the accuracy on held-out sentences is printed; the last line compares it
with always saying the most frequent relation.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import treebank  # noqa: E402

import dynet as dy  # noqa: E402

UNKNOWN = 0
WORD, TAG, HIDDEN = 48, 16, 64


def numbered(names: Iterable[str], least: int = 1) -> dict[str, int]:
    """Numbers from 1 on for what comes at least that often; 0 is for the rest."""
    counts = Counter(names)
    return {name: number for number, name in enumerate((n for n in counts if counts[n] >= least), start=1)}


class RelationModel:
    """Says how each word of a tree depends on its head."""

    def __init__(self, sentences: Sequence[treebank.Sentence]):
        words = [word for sentence in sentences for word in sentence]
        self.words = numbered([word.form for word in words], least=2)
        self.tags = numbered(word.tag for word in words)
        self.relations = numbered(word.relation for word in words)
        self.parameters = dy.ParameterCollection()
        self.word_vectors = self.parameters.add_lookup_parameters((len(self.words) + 1, WORD))
        self.tag_vectors = self.parameters.add_lookup_parameters((len(self.tags) + 1, TAG))
        self.tree = dy.ChildSumTreeLSTMBuilder(1, WORD + TAG, HIDDEN, self.parameters)
        self.softmax = dy.StandardSoftmaxBuilder(HIDDEN, len(self.relations) + 1, self.parameters)

    def states(self, sentence: treebank.Sentence) -> list[dy.Expression]:
        """A vector for each word, of it and all that depends on it."""
        inputs = [
            dy.concatenate(
                [
                    self.word_vectors[self.words.get(word.form, UNKNOWN)],
                    self.tag_vectors[self.tags.get(word.tag, UNKNOWN)],
                ]
            )
            for word in sentence
        ]
        return self.tree.initial_state().transduce(inputs, [word.head for word in sentence])

    def loss(self, sentences: Sequence[treebank.Sentence]) -> dy.Expression:
        """The summed negative log likelihood of the words' relations, in a new graph."""
        dy.renew_cg()
        losses = []
        for sentence in sentences:
            for state, word in zip(self.states(sentence), sentence):
                losses.append(self.softmax.neg_log_softmax(state, self.relations.get(word.relation, UNKNOWN)))
        return dy.esum(losses)

    def accuracy(self, sentences: Sequence[treebank.Sentence]) -> float:
        """The share of words whose relation is guessed right."""
        right = total = 0
        for sentence in sentences:
            dy.renew_cg()
            scores = dy.concatenate_cols([self.softmax.full_logits(state) for state in self.states(sentence)])
            guesses = scores.npvalue().reshape(-1, len(sentence)).argmax(axis=0)
            right += sum(self.relations.get(word.relation) == guess for word, guess in zip(sentence, guesses))
            total += len(sentence)
        return right / total


def majority(training: Sequence[treebank.Sentence], held_out: Sequence[treebank.Sentence]) -> float:
    """The accuracy of always saying the relation that is most frequent among the sentences to learn from."""
    ((most, _),) = Counter(word.relation for sentence in training for word in sentence).most_common(1)
    relations = [word.relation for sentence in held_out for word in sentence]
    return relations.count(most) / len(relations)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=5, help="passes over the data (default: 5)")
    parser.add_argument("--limit", type=int, metavar="N", help="use N sentences only, chosen by the seed")
    parser.add_argument("--minibatch", type=int, default=8, help="sentences a graph (default: 8)")
    parser.add_argument("--seed", type=int, default=1, help="of parameters and order (default: 1)")
    options, _ = parser.parse_known_args()  # `import dynet` has read what begins with --dynet

    training, held_out = treebank.split(treebank.read(), options.limit, options.seed)
    print(f"{len(training)} sentences to learn from, {len(held_out)} held out")

    dy.reset_random_seed(options.seed)
    model = RelationModel(training)
    trainer = dy.AdamTrainer(model.parameters, 0.002)
    order = random.Random(options.seed)
    found = 0.0
    for epoch in range(1, options.epochs + 1):
        order.shuffle(training)
        for start in range(0, len(training), options.minibatch):
            model.loss(training[start : start + options.minibatch]).backward()
            trainer.update()
        found = model.accuracy(held_out)
        print(f"epoch {epoch}: held-out accuracy {found:.4f}", flush=True)
    print(f"majority accuracy {majority(training, held_out):.4f}, TreeLSTM accuracy {found:.4f}")


if __name__ == "__main__":
    main()
