"""Softmax layers, which compute a probability distribution over classes from a vector."""

from __future__ import annotations

import os
import random
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from dynet_core.annotations import Index
from dynet_core.checks import checked_flag, checked_list, whole
from dynet_core.errors import ArgumentError, ArgumentTypeError, NotFiniteError, ShapeError
from dynet_core.graph.expression import Expression
from dynet_core.graph.record import graph_of
from dynet_core.messages.hints import Closed
from dynet_core.parameter import ParameterCollection, Parameters
from dynet_core.parameter.collection import contents_text
from dynet_core.random import noise
from dynet_ops.input.inputs import constant
from dynet_ops.loss.probability import log_softmax, pickneglogsoftmax, pickneglogsoftmax_batch, softmax
from dynet_ops.matrix.products import affine_transform
from dynet_ops.operands import checked_size
from dynet_ops.select.picking import pick_batch_elem, pickrange, select_rows
from dynet_ops.shape.joining import concatenate, concatenate_to_batch

from .base import ParameterOwner, check_vector


class SoftmaxBuilder(ParameterOwner, Closed, ABC):
    """Base of the softmax layers. A layer computes the probability p(c | x) of each class c from a vector x.

    Its collection holds weight matrices, each followed by its bias if it has one.
    """

    spec: tuple[object, ...] = ()
    _count: int  # the number of classes
    _size: int  # the size of x

    @classmethod
    @abstractmethod
    def from_spec(cls, spec: Sequence[Any], model: ParameterCollection) -> SoftmaxBuilder:
        """Make a new layer from the `spec` of another layer. `model` gets its parameters; values are not copied."""

    def __repr__(self) -> str:
        contents = contents_text(self._model.parameters_list())
        return f"<{self.whoami()} {self._model.name()}: {self.spec[0]} to {self._count} classes; {contents}>"

    def neg_log_softmax(self, x: Expression, c: Index, update: bool = True) -> Expression:
        """Return the loss -log p(c | x).

        Args:
            x: a vector (rep_dim,).
            c: the number of the class.
            update: False treats the parameters as constants: they get no gradient.
        """
        return self._loss(self._checked_input("neg_log_softmax", x), self._checked_class("neg_log_softmax", c), update)

    def neg_log_softmax_batch(self, x: Expression, c: Iterable[Index], update: bool = True) -> Expression:
        """Return a batch of losses -log p(c | x), with one class for each batch element of x.

        Args:
            x: a batch of vectors (rep_dim,).
            c: a list with the number of each batch element's class.
            update: as in `neg_log_softmax`.
        """
        name = "neg_log_softmax_batch"
        self._checked_input(name, x)
        classes = checked_list(name, c, "classes")
        if len(classes) != x.type.batch:
            raise ArgumentError(f"{name}: x has batch size {x.type.batch}, but {len(classes)} classes are given")
        return self._losses(x, [self._checked_class(name, index) for index in classes], update)

    def sample(self, x: Expression) -> int:
        """Draw a class at random with the probabilities p(c | x), and return its number.

        Args:
            x: a vector (rep_dim,), not a batch.
        """
        if self._checked_input("sample", x).type.batch > 1:
            raise ShapeError(f"sample: x is {x.type!r}, a class can be drawn for one vector only")
        return self._sample(x)

    def full_log_distribution(self, x: Expression, update: bool = True) -> Expression:
        """Return the vector of log p(c | x) for all classes c.

        Args:
            x: a vector (rep_dim,).
            update: False treats the parameters as constants: they get no gradient.
        """
        return self._log_distribution(self._checked_input("full_log_distribution", x), update)

    def full_logits(self, x: Expression, update: bool = True) -> Expression:
        """Return a vector whose softmax is the vector of p(c | x). Arguments: as in `full_log_distribution`."""
        return self._full_logits(self._checked_input("full_logits", x), update)

    @abstractmethod
    def _full_logits(self, x: Expression, is_trained: bool) -> Expression: ...

    def _loss(self, x: Expression, c: int, is_trained: bool) -> Expression:
        return pickneglogsoftmax(self._full_logits(x, is_trained), c)

    def _losses(self, x: Expression, c: list[int], is_trained: bool) -> Expression:
        return pickneglogsoftmax_batch(self._full_logits(x, is_trained), c)

    def _sample(self, x: Expression) -> int:
        return _draw_class(self._full_logits(x, False))

    def _log_distribution(self, x: Expression, is_trained: bool) -> Expression:
        return log_softmax(self._full_logits(x, is_trained))

    def _add_weights(self, row_count: int, has_bias: bool) -> list[Parameters]:
        """Create a weight matrix with a row for each class, and if `has_bias`, a bias."""
        return self._add((row_count, self._size), *[(row_count,)] * has_bias)

    def _checked_input(self, method: str, x: Expression) -> Expression:
        graph_of(method, (x,))
        check_vector(f"{method}: x", x.type, self.whoami(), self._size)
        return x

    def _checked_class(self, method: str, c: Index) -> int:
        """Return the class `c` as an int. Raise ArgumentError if it is out of range or has no probability."""
        return _checked_index(method, c, self._count)


def _logits(parameters: list[Parameters], x: Expression, is_trained: bool) -> Expression:
    if not parameters:  # a cluster of one word has no weights: the word's probability is 1
        return constant((1,), 0.0, x.type.batch)
    weights, *bias = [p.expr(is_trained) for p in parameters]
    return affine_transform([*bias, weights, x]) if bias else weights * x


def _draw_class(logits: Expression) -> int:
    ps = softmax(logits).npvalue().ravel()  # the probabilities
    if not np.isfinite(ps).all():
        raise NotFiniteError(f"sample: the probabilities of {len(ps)} classes are not finite")
    return random.Random(noise.next_key()).choices(range(len(ps)), ps.tolist())[0]


def _checked_index(method: str, c: Index, count: int) -> int:
    index = whole(method, "a class", c)
    if not 0 <= index < count:
        raise ArgumentError(f"{method}: class {index} is out of range, there are {count}")
    return index


class StandardSoftmaxBuilder(SoftmaxBuilder):
    """A softmax layer with a weight vector w_c for each class c: p(c | x) is proportional to exp(w_c . x + b_c).

    Args:
        rep_dim: the size of the vector x.
        num_classes: the number of classes.
        pc: the collection that gets the parameters: weights (num_classes, rep_dim) and bias (num_classes,).
        bias: whether the layer has the bias b; without it, b_c is 0.

    >>> layer = dy.StandardSoftmaxBuilder(2, 3, dy.Model())
    >>> x = dy.inputVector([1, 2])
    >>> abs(layer.neg_log_softmax(x, 1).value() + layer.full_log_distribution(x).value()[1]) < 1e-6
    True
    """

    def __init__(self, rep_dim: Index, num_classes: Index, pc: ParameterCollection, bias: bool = True):
        self._count = checked_size(self.whoami(), "num_classes", num_classes)
        self._size = checked_size(self.whoami(), "rep_dim", rep_dim)
        has_bias = checked_flag(self.whoami(), "bias", bias)
        self.spec: tuple[object, ...] = (self._size, self._count, has_bias)
        with self._in_new_collection("standard-softmax-builder", pc, "pc"):
            self._parameters = self._add_weights(self._count, has_bias)

    @classmethod
    def from_spec(cls, spec: Sequence[Any], model: ParameterCollection) -> StandardSoftmaxBuilder:
        """Make a new layer from the `spec` of another layer. `model` gets its parameters; values are not copied."""
        size, count, bias = spec
        return cls(size, count, model, bias)

    def _full_logits(self, x: Expression, is_trained: bool) -> Expression:
        return _logits(self._parameters, x, is_trained)


_LOG_OF_ZERO = -1e4  # finite, because in a cross entropy, 0 * -inf would be NaN


class ClassFactoredSoftmaxBuilder(SoftmaxBuilder):
    """A softmax layer over words that belong to clusters: p(word) = p(cluster) p(word | cluster).

    The words are the classes of the layer. The loss of a word depends only on the scores of the clusters and of the
    words in its cluster. This is faster than computing the scores of all words.

    A word of `word_dict` may be in no cluster, such as `<s>`, which is never predicted. Its loss raises an error, it is
    never sampled, and `full_log_distribution` has -10000 for it, a finite value whose exponential is 0.

    Args:
        rep_dim: the size of the vector x.
        cluster_file: a text file with a line `cluster word` for each word that has a cluster, separated by spaces or
            tabs. The rest of a line, such as a frequency, is ignored.
        word_dict: maps each word to its number. The numbers are 0, 1, 2, ... without gaps.
        pc: the collection that gets the parameters: weights and bias for the clusters, then weights and bias for the
            words of each cluster that has more than one word.
        bias: whether there are biases.

    Raises:
        ArgumentError: the file has no words, a repeated word, or a word that `word_dict` lacks; the numbers have gaps;
            or the loss of a word without a cluster is requested.
        OSError: the file cannot be read.

    Source: Goodman, "Classes for fast maximum entropy training", 2001.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w+", suffix=".txt") as file:
    ...     _ = file.write("animal cat\\nanimal dog\\nnumber one\\n")
    ...     _ = file.seek(0)
    ...     layer = dy.ClassFactoredSoftmaxBuilder(2, file.name, {"cat": 0, "dog": 1, "one": 2}, dy.Model())
    >>> layer.full_log_distribution(dy.inputVector([1, 2])).dim()
    ((3,), 1)
    """

    def __init__(
        self,
        rep_dim: Index,
        cluster_file: str | os.PathLike[str],
        word_dict: Mapping[str, int],
        pc: ParameterCollection,
        bias: bool = True,
    ):
        numbers = checked_word_numbers(word_dict)
        clusters, unclustered = read_clusters(cluster_file, numbers)
        self._build(rep_dim, clusters, len(numbers), pc, checked_flag(self.whoami(), "bias", bias), unclustered)

    @classmethod
    def from_spec(cls, spec: Sequence[Any], model: ParameterCollection) -> ClassFactoredSoftmaxBuilder:
        """Make a new layer from another layer's `spec`, which has the clusters. `model` gets its parameters."""
        (size, clusters, count, bias), unclustered = spec[:4], spec[4:]  # no `*`: a file may have a huge `range`
        check_clusters(clusters, count, unclustered)
        layer = cls.__new__(cls)
        layer._build(size, clusters, count, model, bias, unclustered)
        return layer

    def _build(
        self, rep_dim, clusters: Iterable[Sequence[int]], word_count: int, pc, bias: bool, unclustered: Sequence[str]
    ) -> None:
        self._clusters = [list(words) for words in clusters]  # the numbers of each cluster's words
        self._size = checked_size(self.whoami(), "rep_dim", rep_dim)
        self.spec: tuple[object, ...] = (self._size, self._clusters, word_count, bias, *unclustered)
        self._count = word_count
        with self._in_new_collection("class-factored-softmax-builder", pc, "pc"):
            self._of_clusters = self._add_weights(len(self._clusters), bias)  # the parameters for p(cluster)
            self._of_words = [self._add_weights(len(words), bias) if len(words) > 1 else [] for words in self._clusters]
        # `_place` maps each word's number to its cluster and its index in the cluster's list.
        self._place = {word: (k, n) for k, words in enumerate(self._clusters) for n, word in enumerate(words)}
        index_of = {word: index for index, word in enumerate(self._place)}
        # `_order` maps each word's number to its index in a vector with the words of each cluster in turn, and then one
        # element for all words without a cluster. `_rest` maps the number of each of the latter to the word.
        self._order = [index_of.get(word, len(index_of)) for word in range(word_count)]
        self._rest = dict(zip([word for word in range(word_count) if word not in index_of], unclustered, strict=True))

    def _checked_class(self, method: str, c: Index) -> int:
        word = super()._checked_class(method, c)
        if word in self._rest:
            raise ArgumentError(
                f"{method}: word {self._rest[word]!r} (number {word}) has no cluster, so it has no probability: "
                "add a line `cluster word` for it to the cluster file, or leave it out of the words to predict"
            )
        return word

    def _loss(self, x: Expression, c: int, is_trained: bool) -> Expression:
        cluster, index = self._place[c]
        loss, weights = pickneglogsoftmax(_logits(self._of_clusters, x, is_trained), cluster), self._of_words[cluster]
        return loss + pickneglogsoftmax(_logits(weights, x, is_trained), index) if weights else loss

    def _losses(self, x: Expression, c: list[int], is_trained: bool) -> Expression:
        places = [self._place[word] for word in c]
        cluster_losses = pickneglogsoftmax_batch(_logits(self._of_clusters, x, is_trained), [k for k, _ in places])
        word_losses = [
            pickneglogsoftmax(_logits(self._of_words[cluster], pick_batch_elem(x, element), is_trained), index)
            for element, (cluster, index) in enumerate(places)
        ]
        return cluster_losses + concatenate_to_batch(word_losses)

    def _sample(self, x: Expression) -> int:
        cluster = _draw_class(_logits(self._of_clusters, x, False))
        parameters = self._of_words[cluster]
        return self._clusters[cluster][_draw_class(_logits(parameters, x, False)) if parameters else 0]

    def _log_distribution(self, x: Expression, is_trained: bool) -> Expression:
        cluster_log_ps = log_softmax(_logits(self._of_clusters, x, is_trained))
        log_ps = []
        for k, parameters in enumerate(self._of_words):
            log_p = pickrange(cluster_log_ps, k, k + 1)
            log_ps.append(log_softmax(_logits(parameters, x, is_trained)) + log_p if parameters else log_p)
        if self._rest:
            log_ps.append(constant((1,), _LOG_OF_ZERO, x.type.batch))
        return select_rows(concatenate(log_ps), self._order)

    def _full_logits(self, x: Expression, is_trained: bool) -> Expression:
        return self._log_distribution(x, is_trained)  # log p can serve as logits, because softmax(log p) is p

    def class_logits(self, x: Expression, update: bool = True) -> Expression:
        """Return a vector whose softmax is the vector of p(cluster | x). Arguments: as in `full_log_distribution`."""
        return _logits(self._of_clusters, self._checked_input("class_logits", x), update)

    def class_log_distribution(self, x: Expression, update: bool = True) -> Expression:
        """Return the vector of log p(cluster | x) for all clusters. Arguments: as in `full_log_distribution`."""
        return log_softmax(_logits(self._of_clusters, self._checked_input("class_log_distribution", x), update))

    def subclass_logits(self, x: Expression, classid: Index, update: bool = True) -> Expression:
        """Return a vector whose softmax is the vector of p(word | x, cluster) for the words of one cluster.

        Args:
            x: a vector (rep_dim,).
            classid: the number of the cluster. The first cluster in the file is number 0, the next new one 1, etc.
            update: False treats the parameters as constants: they get no gradient.
        """
        return self._subclass_logits("subclass_logits", x, classid, update)

    def subclass_log_distribution(self, x: Expression, classid: Index, update: bool = True) -> Expression:
        """Return the vector of log p(word | x, cluster) for a cluster's words. Arguments: as in `subclass_logits`."""
        return log_softmax(self._subclass_logits("subclass_log_distribution", x, classid, update))

    def _subclass_logits(self, method: str, x: Expression, classid: Index, is_trained: bool) -> Expression:
        cluster = _checked_index(method, classid, len(self._clusters))
        return _logits(self._of_words[cluster], self._checked_input(method, x), is_trained)


# Checks of the words and clusters of a `ClassFactoredSoftmaxBuilder`, and the reader of the cluster file.

BUILDER = "ClassFactoredSoftmaxBuilder"


def checked_word_numbers(word_dict: Mapping[str, int]) -> dict[str, int]:
    """Check that `word_dict` maps words to the numbers 0, 1, 2, ... without gaps. Return it as a dict of ints."""
    if not isinstance(word_dict, Mapping) or not word_dict:
        raise ArgumentTypeError(f"{BUILDER}: word_dict must map words to their numbers, got {word_dict!r:.60}")
    for word in word_dict:
        if not isinstance(word, str):
            raise ArgumentTypeError(f"{BUILDER}: a word of word_dict must be a str, got {word!r:.60}")
    numbers = {str(word): whole(BUILDER, f"the number of word {word!r}", index) for word, index in word_dict.items()}
    if sorted(numbers.values()) != list(range(len(numbers))):
        raise ArgumentError(f"{BUILDER}: the numbers of the {len(numbers)} words are not 0 to {len(numbers) - 1}")
    return numbers


def check_clusters(clusters: Sequence[Sequence[int]], word_count: int, unclustered: Sequence[str]) -> None:
    """Check that the clusters have distinct words below `word_count`, and `unclustered` an entry for each other word.

    Time and memory grow only with the lists in the spec, because a forged file may have any `word_count`.
    """
    are_lists = isinstance(clusters, (list, tuple)) and all(isinstance(words, (list, tuple)) for words in clusters)
    if not are_lists or len({*map(id, clusters)}) < len(clusters):
        raise ArgumentError(f"{BUILDER}: the clusters of a spec are different lists of numbers")
    words = [word for cluster in clusters for word in cluster]
    fits = len(words) + len(unclustered) == word_count and all(0 <= word < word_count for word in words)
    if not fits or len({*words}) < len(words):
        contents = f"{len(words)} numbers of words, and {len(unclustered)} words are in none"
        raise ArgumentError(f"{BUILDER}: the spec has {word_count!r:.40} words, but its clusters hold {contents}")


def read_clusters(path: str | os.PathLike[str], word_dict: Mapping[str, int]) -> tuple[list[list[int]], list[str]]:
    """Read a file of lines `cluster word`. Return each cluster's list of word numbers, and a list of words without one.

    Clusters are in the order of their first lines. Only spaces and tabs separate fields, so a word may contain a
    no-break space.
    """
    path = os.fspath(path)  # raises TypeError for the number of an open file, which `open` would accept
    clusters: dict[str, list[int]] = {}
    seen: set[str] = set()
    with open(path, encoding="utf-8", newline="\n") as file:
        for number, line in enumerate(file, 1):
            fields = re.findall(r"[^ \t]+", line.rstrip("\r\n"))
            if not fields:
                continue
            if len(fields) < 2:
                raise ArgumentError(f"{BUILDER}: {path}, line {number}: expected `cluster word`, got {fields[0]!r:.60}")
            cluster, word, *_ = fields
            if word not in word_dict:
                raise ArgumentError(f"{BUILDER}: {path}, line {number}: word_dict has no word {word!r}")
            if word in seen:
                raise ArgumentError(f"{BUILDER}: {path}, line {number}: word {word!r} occurs twice")
            seen.add(word)
            clusters.setdefault(cluster, []).append(word_dict[word])
    if not clusters:
        raise ArgumentError(f"{BUILDER}: {path} has no line `cluster word`")
    return list(clusters.values()), [word for word in sorted(word_dict, key=word_dict.__getitem__) if word not in seen]
