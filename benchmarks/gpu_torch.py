"""The tasks for which torch has built-in layers, written idiomatically: padded, one whole minibatch at a time.

They have the layers, sizes and data of `tasks/`, but not its initial values: only speed is compared. Trees and
transitions cannot be written this way.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator

from synthetic import VOCABULARY, minibatches_by_length, sentences
from tasks import rnnlm, tagger

PADDING = -1


def _padded(torch, rows: Iterable[list[int]], value: int, where: str):
    return torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], True, value).to(where)


def _step(torch, modules: list, batches: Iterator, loss_of: Callable) -> Callable[[], float]:
    """Return a training step. Embeddings, which are the first module, are updated sparsely."""
    optimizers = [
        torch.optim.SparseAdam(modules[0].parameters()),
        torch.optim.Adam([parameter for module in modules[1:] for parameter in module.parameters()]),
    ]

    def step() -> float:
        loss = loss_of(next(batches))
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        return loss.item()

    return step


def _cross_entropy(torch, scores, classes):
    return torch.nn.functional.cross_entropy(
        scores.flatten(0, 1), classes.flatten(), ignore_index=PADDING, reduction="sum"
    )


def make_rnnlm(torch, minibatch: int, seed: int, where: str) -> Callable[[], float]:
    """The language model of tasks/rnnlm.py."""
    words = torch.nn.Embedding(VOCABULARY, rnnlm.EMBEDDING, sparse=True, device=where)
    lstm = torch.nn.LSTM(rnnlm.EMBEDDING, rnnlm.HIDDEN, batch_first=True, device=where)
    scores = torch.nn.Linear(rnnlm.HIDDEN, VOCABULARY, device=where)
    rng = random.Random(seed)
    batches = minibatches_by_length(sentences(rng), minibatch, rng)

    def loss_of(batch):
        before = _padded(torch, [[rnnlm.END, *sentence[:-1]] for sentence in batch], rnnlm.END, where)
        states, _ = lstm(words(before))
        return _cross_entropy(torch, scores(states), _padded(torch, batch, PADDING, where))

    return _step(torch, [words, lstm, scores], batches, loss_of)


def make_tagger(torch, minibatch: int, seed: int, where: str) -> Callable[[], float]:
    """The tagger of tasks/tagger.py."""
    words = torch.nn.Embedding(VOCABULARY, tagger.EMBEDDING, sparse=True, device=where)
    lstm = torch.nn.LSTM(tagger.EMBEDDING, tagger.HIDDEN, batch_first=True, bidirectional=True, device=where)
    hidden = torch.nn.Linear(2 * tagger.HIDDEN, tagger.MLP, bias=False, device=where)
    scores = torch.nn.Linear(tagger.MLP, tagger.TAGS, bias=False, device=where)
    batches = tagger.examples(minibatch, seed)

    def loss_of(batch):
        vectors = words(_padded(torch, [[word for word, _ in sentence] for sentence in batch], 0, where))
        lengths = torch.tensor([len(sentence) for sentence in batch])
        packed = torch.nn.utils.rnn.pack_padded_sequence(vectors, lengths, True, enforce_sorted=False)
        states, _ = torch.nn.utils.rnn.pad_packed_sequence(lstm(packed)[0], True)
        tags = _padded(torch, [[tag for _, tag in sentence] for sentence in batch], PADDING, where)
        return _cross_entropy(torch, scores(torch.tanh(hidden(states))), tags)

    return _step(torch, [words, lstm, hidden, scores], batches, loss_of)


TASKS = {"rnnlm": make_rnnlm, "tagger": make_tagger}
