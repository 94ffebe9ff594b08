"""The tagger with characters in JAX: all rare words of a minibatch are encoded in one batch."""

import jax.numpy as jnp
import numpy as np

from peers.padding import Padded
from peers.shapes import rounded
from tasks.tagger_char import CHAR_EMBEDDING, CHARACTERS, EMBEDDING, FREQUENT, HIDDEN, MLP, TAGS, examples

from .tagger import both_orders, read_both_ways
from .training import cross_entropy, lstm, run_lstm, training_steps, used_rows

LONGEST_WORD = 9
BUCKET = 8  # for sentence lengths; coarser, because each length occurs with several counts of rare words


def make(initial, minibatch, seed, by_length=True):
    lookups = {"words": initial.lookup(FREQUENT, EMBEDDING), "chars": initial.lookup(CHARACTERS, CHAR_EMBEDDING)}
    names = ("spell_forward", "spell_backward", "forward", "backward")
    sizes = [(CHAR_EMBEDDING, EMBEDDING // 2)] * 2 + [(EMBEDDING, HIDDEN)] * 2
    dense = {name: lstm(initial, *size) for name, size in zip(names, sizes)}
    dense |= {"H": initial.parameter(MLP, 2 * HIDDEN), "O": initial.parameter(TAGS, MLP)}
    spelling, _ = examples(minibatch, seed, by_length)

    def arrays_of(batch):
        lengths = [len(sentence) for sentence in batch]
        padded = Padded(lengths, rounded(max(lengths), BUCKET))
        numbers, tags = np.array([pair for sentence in batch for pair in sentence]).T
        size = padded.rows * padded.columns
        is_rare = numbers >= FREQUENT
        used, places = used_rows(numbers[~is_rare], size, FREQUENT)
        vectors = np.zeros(len(numbers), np.int32)
        vectors[~is_rare] = places
        vectors[is_rare] = size + np.arange(is_rare.sum())
        letters = letters_of([spelling[word] for word in numbers[is_rare]], rounded(is_rare.sum() + 1, size // 4))
        return {
            "used": {"words": used, "chars": letters.pop("used")},
            **letters,
            **both_orders(padded, vectors),
            "tags": padded.spread(tags, padded.forward).reshape(-1).astype(np.int32),
        }

    def loss_of(dense, rows, batch):
        letters = rows["chars"]
        before = run_lstm(dense["spell_forward"], letters[batch["letters"]])
        after = run_lstm(dense["spell_backward"], letters[batch["letters_reversed"]])
        last = (batch["last"], jnp.arange(before.shape[1]))
        vectors = jnp.concatenate([rows["words"], jnp.concatenate([before[last], after[last]], axis=1)])
        hidden = jnp.tanh(read_both_ways(dense["forward"], dense["backward"], vectors, batch) @ dense["H"].T)
        return cross_entropy(hidden @ dense["O"].T, batch["tags"], batch["counts"])

    return training_steps(
        dense, lookups, lambda: examples(minibatch, seed, by_length)[1], minibatch, arrays_of, loss_of
    )


def letters_of(words: list[list[int]], count: int) -> dict[str, np.ndarray]:
    """Return the letters of words in both orders, padded to `count` words by one-letter words."""
    words = words + [[0]] * (count - len(words))
    padded = Padded([len(word) for word in words], LONGEST_WORD)
    used, places = used_rows(np.concatenate(words), CHARACTERS, CHARACTERS)
    return {
        "used": used,
        "letters": padded.spread(places, padded.forward).astype(np.int32),
        "letters_reversed": padded.spread(places, padded.backward).astype(np.int32),
        "last": (padded.lengths - 1).astype(np.int32),
    }
