"""Train an LSTM language model on the sentences of the Turkish Web Treebank.

    python train.py --epochs 5

Several processes share the work by MPI:

    mpiexec -n 4 python train.py --mpi

After each epoch the perplexity of the held-out sentences is printed, the last line compares it with that of a unigram
model: how often each word comes is all that one knows.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import treebank  # noqa: E402

import dynet as dy  # noqa: E402

END, UNKNOWN = 0, 1  # the numbers of what ends a sentence, and of all words that are not in the vocabulary
EMBEDDING, HIDDEN, DROPOUT = 64, 128, 0.2


class Vocabulary:
    """Numbers for the words that were seen at least twice."""

    def __init__(self, sentences: Sequence[treebank.Sentence]):
        self.counts = Counter(word.form for sentence in sentences for word in sentence)
        words = [word for word, count in self.counts.items() if count > 1]
        self.number = {word: number for number, word in enumerate(words, start=2)}

    def __len__(self) -> int:
        return len(self.number) + 2

    def numbers(self, sentence: treebank.Sentence) -> list[int]:
        """The numbers of a sentence's words, and of its end."""
        return [*[self.number.get(word.form, UNKNOWN) for word in sentence], END]


class LanguageModel:
    """Says how likely each word is after those before it."""

    def __init__(self, words: int):
        self.parameters = dy.ParameterCollection()
        self.embeddings = self.parameters.add_lookup_parameters((words, EMBEDDING))
        self.lstm = dy.VanillaLSTMBuilder(1, EMBEDDING, HIDDEN, self.parameters)
        self.softmax = dy.StandardSoftmaxBuilder(HIDDEN, words, self.parameters)

    def loss(self, sentences: Sequence[list[int]], dropout: float = 0.0) -> dy.Expression:
        """The summed negative log likelihood of the words of some sentences, in a new graph."""
        dy.renew_cg()
        losses = []
        for sentence in sentences:
            before = [self.embeddings[word] for word in [END, *sentence[:-1]]]
            for state, word in zip(self.lstm.initial_state().transduce(before), sentence):
                losses.append(self.softmax.neg_log_softmax(dy.dropout(state, dropout) if dropout else state, word))
        return dy.esum(losses)


def loss_of(model: LanguageModel, sentences: Sequence[list[int]], minibatch: int) -> float:
    """The summed loss of all words."""
    return sum(model.loss(sentences[k : k + minibatch]).value() for k in range(0, len(sentences), minibatch))


def unigram_perplexity(training: list[list[int]], held_out: list[list[int]], words: int) -> float:
    """The perplexity of a model that knows only how often each word comes, each counted once more."""
    counts = Counter(word for sentence in training for word in sentence)
    whole = sum(counts.values()) + words
    logs = [math.log((counts[word] + 1) / whole) for sentence in held_out for word in sentence]
    return math.exp(-sum(logs) / len(logs))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=5, help="passes over the data (default: 5)")
    parser.add_argument("--limit", type=int, metavar="N", help="use N sentences only, chosen by the seed")
    parser.add_argument("--minibatch", type=int, default=8, help="sentences a graph (default: 8)")
    parser.add_argument("--seed", type=int, default=1, help="of parameters and order (default: 1)")
    parser.add_argument("--mpi", action="store_true", help="share each minibatch among the processes that MPI starts")
    options, _ = parser.parse_known_args()  # `import dynet` has read what begins with --dynet

    training, held_out = treebank.split(treebank.read(), options.limit, options.seed)
    vocabulary = Vocabulary(training)
    seen, unseen = [[vocabulary.numbers(sentence) for sentence in part] for part in (training, held_out)]
    dy.reset_random_seed(options.seed)
    model = LanguageModel(len(vocabulary))
    trainer = dy.AdamTrainer(model.parameters, 0.002)
    share, total, rank = list, float, 0
    if options.mpi:
        trainer = dy.DataParallel(trainer)
        share, total, rank = trainer.share, trainer.total, trainer.rank
    if rank == 0:
        print(f"{len(seen)} sentences to learn from, {len(unseen)} held out, {len(vocabulary)} words")
    order = random.Random(options.seed)
    found = math.inf
    for epoch in range(1, options.epochs + 1):
        order.shuffle(seen)
        for start in range(0, len(seen), options.minibatch):
            own = share(seen[start : start + options.minibatch])
            if own:
                model.loss(own, DROPOUT).backward()
            trainer.update()  # also in a process that has no sentence
        # e to the power of the mean loss of a word
        found = math.exp(total(loss_of(model, share(unseen), options.minibatch)) / sum(map(len, unseen)))
        if rank == 0:
            print(f"epoch {epoch}: held-out perplexity {found:.1f}", flush=True)
    if rank == 0:
        print(
            f"unigram perplexity {unigram_perplexity(seen, unseen, len(vocabulary)):.1f}, LSTM perplexity {found:.1f}"
        )


if __name__ == "__main__":
    main()
