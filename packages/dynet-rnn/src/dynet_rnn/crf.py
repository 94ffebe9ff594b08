"""Linear-chain conditional random fields, which score sequences of tags."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from dynet_core.annotations import Index
from dynet_core.checks import checked_indices, checked_list
from dynet_core.errors import ArgumentError, ArgumentTypeError, NotFiniteError, ShapeError
from dynet_core.graph.expression import Expression
from dynet_core.parameter import ParameterCollection
from dynet_ops.elementwise.arithmetic import colwise_add
from dynet_ops.input.inputs import zeros
from dynet_ops.loss.probability import softmax
from dynet_ops.network.crf import crf_step
from dynet_ops.operands import checked_size
from dynet_ops.reduce.dims import logsumexp_dim, max_dim, sum_elems
from dynet_ops.reduce.sums import esum
from dynet_ops.select.picking import pick, select_rows
from dynet_ops.shape.joining import concatenate_cols
from dynet_ops.shape.layout import reshape, transpose

from .base import LayerBuilder, as_columns


class CRFBuilder(LayerBuilder):
    """A linear-chain conditional random field: p(tags | words) is proportional to exp(score of the tags).

    The score of a sequence is the sum of its tags' emissions, of the transitions from each tag to the next, and of the
    start and end scores of the first and last tag. The emissions, the scores of each word's tags, come from a network.
    Each method takes one sentence. Sentences of a graph are computed together, whatever their lengths.

    Args:
        num_tags: the number of tags.
        pc: the collection that gets the parameters: transitions (num_tags, num_tags), where element ij is for tag j
            after tag i; start scores (num_tags,), and end scores (num_tags,).
        constraints: which tags may follow which, a table of booleans of the shape of the transitions. One more row says
            which tags may come first, and with it one more column, which may come last. None allows all sequences. See
            `bio_constraints`. Forbidden sequences have probability 0.

    Raises:
        ArgumentError: a method gets no words, tags that the constraints forbid, or so many words that they forbid
            all sequences.
        ShapeError: emissions or constraints are not of these shapes.

    Source: Lafferty, McCallum and Pereira, "Conditional random fields", 2001.

    >>> crf = dy.CRFBuilder(2, dy.Model())
    >>> scores = dy.inputTensor([[5, 0, 0], [0, 5, 5]])  # of 2 tags for each of 3 words
    >>> crf.neg_log_likelihood(scores, [0, 1, 1]).value() < crf.neg_log_likelihood(scores, [1, 1, 1]).value()
    True
    >>> crf.viterbi(scores)[0]
    [0, 1, 1]
    """

    _size_count: int = 1

    def __init__(self, num_tags: Index, pc: ParameterCollection, constraints: Any = None):
        self._count = count = checked_size(self.whoami(), "num_tags", num_tags)
        self._allowed = None if constraints is None else _checked_constraints(self.whoami(), constraints, count)
        self.spec: tuple[object, ...] = (count, None if self._allowed is None else self._allowed.tolist())
        with self._in_new_collection("crf-builder", pc, "pc"):
            self._parameters = self._add((count, count), (count,), (count,))
        if self._allowed is not None:
            barriers = np.where(self._allowed, 0.0, -np.inf)
            parts = barriers[:count, :count], barriers[count, :count], barriers[:count, count]
            self._barriers = [ParameterCollection().add_parameters(part.shape, init=part) for part in parts]
            self._reachable = [self._allowed[count, :count]]  # for each number of words, which tags the last may have

    def _described(self) -> str:
        return f"{self._count} tags"

    def neg_log_likelihood(
        self, emissions: Expression | Iterable[Expression], tags: Iterable[Index], update: bool = True
    ) -> Expression:
        """Return the loss -log p(tags | words).

        Args:
            emissions: a matrix (num_tags, n) for n words, or a list of n vectors (num_tags,).
            tags: the number of each word's tag.
            update: False treats the parameters as constants: they get no gradient.
        """
        name, count = "neg_log_likelihood", self._count
        matrix, columns = self._checked(name, emissions)
        path = checked_indices(name, tags, count, f"this {self.whoami()}", "tag")
        if len(path) != len(columns):
            raise ArgumentError(f"{name}: {len(columns)} words, but {len(path)} tags")
        for k, (i, j) in enumerate(zip([count, *path], [*path, count])) if self._allowed is not None else ():
            if not self._allowed[i, j]:
                place = "at the start" if k == 0 else "at the end" if j == count else f"after tag {i}"
                raise ArgumentError(
                    f"{name}: the constraints forbid tag {j if j < count else i} {place}, tags are {path}"
                )
        scores = self._scores(update)
        transitions, start, end = scores
        terms = [
            sum_elems(select_rows(reshape(matrix, (len(path) * count,)), [k * count + j for k, j in enumerate(path)])),
            pick(start, path[0]),
            pick(end, path[-1]),
        ]
        if len(path) > 1:
            steps = [j * count + i for i, j in zip(path, path[1:])]
            terms.append(sum_elems(select_rows(reshape(transitions, (count * count,)), steps)))
        return logsumexp_dim(_forward(columns, *scores)[-1] + end) - esum(terms)

    def log_partition(self, emissions: Expression | Iterable[Expression], update: bool = True) -> Expression:
        """Return log Z, where Z is the sum of exp(score) of all sequences. Arguments: as in `neg_log_likelihood`."""
        _, columns = self._checked("log_partition", emissions)
        scores = self._scores(update)
        return logsumexp_dim(_forward(columns, *scores)[-1] + scores[-1])

    def marginals(self, emissions: Expression | Iterable[Expression], update: bool = True) -> Expression:
        """Return the matrix (num_tags, n) of p(tag of word k | words). Arguments: as in `neg_log_likelihood`.

        It is the gradient of `log_partition` with respect to the emissions.
        """
        _, columns = self._checked("marginals", emissions)
        scores = self._scores(update)
        transitions, _, end = scores
        betas, nothing = [end], zeros(self._count)
        backward = transpose(transitions)
        for e in columns[:0:-1]:
            betas.append(crf_step(betas[-1] + e, backward, nothing))
        return softmax(concatenate_cols(_forward(columns, *scores)) + concatenate_cols(betas[::-1]))

    def viterbi(self, emissions: Expression | Iterable[Expression]) -> tuple[list[int], float]:
        """Return the tags of highest score, and the score. `emissions` are as in `neg_log_likelihood`.

        Raises:
            NotFiniteError: the score is infinite or NaN.
        """
        _, columns = self._checked("viterbi", emissions)
        transitions, start, end = self._scores(False)
        states = [start + columns[0]]
        for e in columns[1:]:
            states.append(max_dim(colwise_add(transitions, states[-1])) + e)
        last, *before = concatenate_cols([states[-1] + end, *states[-2::-1]]).npvalue().reshape(self._count, -1).T
        path, score, matrix = [int(last.argmax())], float(last.max()), transitions.npvalue()
        if not np.isfinite(score):
            raise NotFiniteError(f"viterbi: the highest score of {len(columns)} words is {score}")
        for state in before:
            path.append(int((state + matrix.reshape(self._count, -1)[:, path[-1]]).argmax()))
        return path[::-1], score

    def _scores(self, is_trained: bool) -> list[Expression]:
        """Return the transitions, start and end scores, with those that the constraints forbid at -infinity."""
        scores = [p.expr(is_trained) for p in self._parameters]
        if self._allowed is None:
            return scores
        return [x + barrier.expr(False) for x, barrier in zip(scores, self._barriers)]

    def _checked(self, name: str, emissions: Any) -> tuple[Expression, list[Expression]]:
        """Return a sentence's emissions as a matrix, and its columns. Raise an error if no sequence is possible."""
        count = self._count
        emissions = as_columns(name, emissions, self.whoami(), count)
        if emissions.type.batch > 1:
            raise ShapeError(f"{name}: the emissions are {emissions.type!r}, call it for each sentence")
        length = emissions.type.columns
        if self._allowed is not None:
            while len(self._reachable) < length:
                self._reachable.append(self._reachable[-1] @ self._allowed[:count, :count])
            if not (self._reachable[length - 1] & self._allowed[:count, count]).any():
                raise ArgumentError(f"{name}: the constraints forbid all sequences of {length} tags")
        return emissions, [pick(emissions, k, 1) for k in range(length)] if len(emissions.type.dims) > 1 else [
            emissions
        ]


def _forward(columns: list[Expression], transitions: Expression, start: Expression, _: Expression) -> list[Expression]:
    states = [start + columns[0]]
    for e in columns[1:]:
        states.append(crf_step(states[-1], transitions, e))
    return states


def _checked_constraints(name: str, constraints: Any, count: int) -> np.ndarray:
    """Return constraints as booleans, with a row for the start and a column for the end."""
    try:
        table = np.asarray(constraints)
    except ValueError:
        table = np.zeros(0)  # of rows of different lengths: refused below
    if table.shape not in ((count, count), (count + 1, count + 1)):
        shapes = f"({count}, {count}) or ({count + 1}, {count + 1})"
        raise ShapeError(f"{name}: constraints must have the shape {shapes} for {count} tags, not {table.shape}")
    if table.dtype.kind not in "biuf" or not np.isin(table, (0, 1)).all():
        raise ArgumentTypeError(f"{name}: constraints must be a table of True and False, not {constraints!r:.60}")
    return np.pad(table.astype(bool), (0, count + 1 - len(table)), constant_values=True)


def bio_constraints(tags: Iterable[str]) -> np.ndarray:
    """Return the `constraints` of a `CRFBuilder` for BIO tags: I-x may only follow B-x or I-x.

    Args:
        tags: the name of each tag: "O" (outside), "B-x" (the beginning of a chunk of kind x) or "I-x" (inside of it).

    Raises:
        ArgumentError: a name is none of these.

    Source: Ramshaw and Marcus, "Text chunking using transformation-based learning", 1995; in the variant of Sang and
    Veenstra, "Representing text chunks", 1999, where each chunk begins with B.

    >>> dy.bio_constraints(["O", "B-x", "I-x"]).astype(int)  # the last row is for the start, the last column the end
    array([[1, 1, 0, 1],
           [1, 1, 1, 1],
           [1, 1, 1, 1],
           [1, 1, 0, 1]])
    """
    names = checked_list("bio_constraints", tags, "names")
    for tag in names:
        if not isinstance(tag, str) or not (tag == "O" or tag.startswith(("B-", "I-"))):
            raise ArgumentError(f"bio_constraints: a tag must be 'O', 'B-x' or 'I-x', got {tag!r:.60}")
    kinds = np.array([*[tag[2:] for tag in names], ""])  # of the tags, and the start or end
    is_inside = np.array([*[tag[0] == "I" for tag in names], False])
    is_outside = np.array([*[tag == "O" for tag in names], True])
    return ~is_inside | ((kinds[:, None] == kinds) & ~is_outside[:, None])


__all__ = ["CRFBuilder", "bio_constraints"]
