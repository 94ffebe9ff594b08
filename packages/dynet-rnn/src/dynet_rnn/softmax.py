"""Softmax layers, which compute a probability distribution over classes from a vector."""

from __future__ import annotations

import os
import random
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import pairwise, zip_longest
from typing import Any, Self

import numpy as np

from dynet_core.annotations import Index, Number
from dynet_core.checks import Range, checked_flag, checked_list, checked_number, whole
from dynet_core.errors import ArgumentError, NotFiniteError, ShapeError
from dynet_core.graph.expression import Expression
from dynet_core.graph.record import graph_of
from dynet_core.initializer import ConstInitializer
from dynet_core.messages.hints import Closed
from dynet_core.parameter import ParameterCollection, Parameters
from dynet_core.parameter.collection import contents_text
from dynet_core.random import noise
from dynet_ops.elementwise.functions import log_sigmoid
from dynet_ops.input.inputs import constant, inputVector
from dynet_ops.loss.losses import binary_log_loss_of_logits
from dynet_ops.loss.probability import log_softmax, pickneglogsoftmax, pickneglogsoftmax_batch, softmax
from dynet_ops.matrix.products import affine_transform
from dynet_ops.operands import checked_size
from dynet_ops.reduce.sums import esum
from dynet_ops.select.picking import pick_batch_elem, pickrange, select_rows
from dynet_ops.shape.joining import concatenate, concatenate_to_batch
from dynet_ops.shape.layout import reshape

from .base import ParameterOwner, check_vector
from .word_clusters import check_clusters, checked_word_numbers, read_clusters


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
        contents = contents_text(self._model._all_parameters())
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


AT_LEAST_1: Range = "a finite number, 1 or more", lambda x: x >= 1
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

    _collection = "class-factored-softmax-builder"
    _has_paths = False
    _rest: dict[int, str] = {}  # maps the number of each word without a cluster to the word

    def __init__(
        self,
        rep_dim: Index,
        cluster_file: str | os.PathLike[str],
        word_dict: Mapping[str, int],
        pc: ParameterCollection,
        bias: bool = True,
    ):
        numbers = checked_word_numbers(self.whoami(), word_dict)
        clusters, unclustered = read_clusters(self.whoami(), cluster_file, numbers)
        self._build(rep_dim, clusters.values(), len(numbers), pc, bias, unclustered, [*clusters])

    @classmethod
    def from_spec(cls, spec: Sequence[Any], model: ParameterCollection) -> Self:
        """Make a new layer from another layer's `spec`, which has the clusters. `model` gets its parameters."""
        size, clusters, count, bias = spec[:4]  # no `*`: a file may have a huge `range`
        end = 4 + (len(clusters) if cls._has_paths and isinstance(clusters, (list, tuple)) else 0)
        check_clusters(cls.__name__, clusters, count, spec[end:])
        layer = cls.__new__(cls)
        layer._build(size, clusters, count, model, bias, spec[end:], spec[4:end])
        return layer

    def _build(
        self, rep_dim, clusters: Iterable[Sequence[int]], word_count: int, pc, bias: bool, unclustered, paths=()
    ) -> None:
        self._clusters = [list(words) for words in clusters]  # the numbers of each cluster's words
        self._size, self._count = checked_size(self.whoami(), "rep_dim", rep_dim), word_count
        bias = checked_flag(self.whoami(), "bias", bias)
        self.spec: tuple[object, ...] = (self._size, self._clusters, word_count, bias, *unclustered)
        with self._in_new_collection(self._collection, pc, "pc"):
            self._add_cluster_weights(bias, paths)
            self._of_words = [self._add_weights(len(words), bias) if len(words) > 1 else [] for words in self._clusters]
        # `_place` maps each word's number to its cluster and its index in the cluster's list.
        self._place = {word: (k, n) for k, words in enumerate(self._clusters) for n, word in enumerate(words)}
        rest = [word for word in range(word_count) if word not in self._place]
        self._rest = dict(zip(rest, unclustered, strict=True))

    def _add_cluster_weights(self, bias: bool, paths: Sequence[str]) -> None:
        self._of_clusters = self._add_weights(len(self._clusters), bias)  # the parameters for p(cluster)

    def _checked_class(self, method: str, c: Index) -> int:
        word = super()._checked_class(method, c)
        if word in self._rest:
            raise ArgumentError(
                f"{method}: word {self._rest[word]!r} (number {word}) has no cluster, so it has no probability: "
                "add a line `cluster word` for it to the cluster file, or leave it out of the words to predict"
            )
        return word

    def _place_of(self, c: int) -> tuple[int, int]:
        return self._place[c]

    def _cluster_logits(self, x: Expression, is_trained: bool) -> Expression:
        return _logits(self._of_clusters, x, is_trained)

    def _cluster_loss(self, x: Expression, cluster: int, is_trained: bool) -> Expression:
        return pickneglogsoftmax(self._cluster_logits(x, is_trained), cluster)

    def _word_logits(self, cluster: int, x: Expression, is_trained: bool) -> Expression:
        return _logits(self._of_words[cluster], x, is_trained)

    def _word_loss(self, x: Expression, place: tuple[int, int], is_trained: bool) -> Expression:
        return pickneglogsoftmax(self._word_logits(place[0], x, is_trained), place[1])

    def _loss(self, x: Expression, c: int, is_trained: bool) -> Expression:
        place = self._place_of(c)
        loss = self._cluster_loss(x, place[0], is_trained)
        return loss + self._word_loss(x, place, is_trained) if self._of_words[place[0]] else loss

    def _losses(self, x: Expression, c: list[int], is_trained: bool) -> Expression:
        places = [self._place_of(word) for word in c]
        losses = pickneglogsoftmax_batch(self._cluster_logits(x, is_trained), [k for k, _ in places])
        xs = [pick_batch_elem(x, element) for element in range(len(c))]
        return losses + concatenate_to_batch([self._word_loss(x, at, is_trained) for x, at in zip(xs, places)])

    def _sample(self, x: Expression) -> int:
        cluster = _draw_class(self._cluster_logits(x, False))
        return self._clusters[cluster][_draw_class(self._word_logits(cluster, x, False))]

    @cached_property
    def _rows(self) -> list[int]:
        """The row of each word in `_log_distribution`, where words alone in a cluster have the cluster's row."""
        members = [word for words, parameters in zip(self._clusters, self._of_words) if parameters for word in words]
        rows = {word: k for k, words in enumerate(self._clusters) for word in words[:1]}
        rows |= {word: k for k, word in enumerate(members, len(self._clusters))}
        return [rows.get(word, len(self._clusters) + len(members)) for word in range(self._count)]

    def _log_distribution(self, x: Expression, is_trained: bool) -> Expression:
        log_ps = [log_softmax(self._cluster_logits(x, is_trained))]
        for k, parameters in enumerate(self._of_words):
            if parameters:
                log_p = pickrange(log_ps[0], k, k + 1)
                log_ps.append(log_softmax(self._word_logits(k, x, is_trained)) + log_p)
        if self._rest:
            log_ps.append(constant((1,), _LOG_OF_ZERO, x.type.batch))
        return select_rows(concatenate(log_ps), self._rows)

    def _full_logits(self, x: Expression, is_trained: bool) -> Expression:
        return self._log_distribution(x, is_trained)  # log p can serve as logits, because softmax(log p) is p

    def class_logits(self, x: Expression, update: bool = True) -> Expression:
        """Return a vector whose softmax is the vector of p(cluster | x). Arguments: as in `full_log_distribution`."""
        return self._cluster_logits(self._checked_input("class_logits", x), update)

    def class_log_distribution(self, x: Expression, update: bool = True) -> Expression:
        """Return the vector of log p(cluster | x) for all clusters. Arguments: as in `full_log_distribution`."""
        return log_softmax(self._cluster_logits(self._checked_input("class_log_distribution", x), update))

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
        return self._word_logits(cluster, self._checked_input(method, x), is_trained)


class HierarchicalSoftmaxBuilder(ClassFactoredSoftmaxBuilder):
    """A softmax layer over words in a tree: p(word) is the product of p(child | node) along the path to the word.

    A node with two children has a weight vector w and a bias b: p(first child) is the logistic function of w . x + b.
    A node with more children has a softmax over them, and one with a single child has no parameters. The words with
    the same path are a cluster, at the end of the path. They have a softmax of their own, as in the base class.

    The loss of a word depends only on the nodes of its path and on its cluster. The vectors of all nodes with two
    children are rows of a lookup table, so trainers update only those that were used.

    The methods for clusters, such as `class_logits`, are those of the base class; there, too, a word may be in no
    cluster. The softmax of two words with the same path has two rows, where DyNet's C++ has one. There, symbols are
    separated by spaces, and a tab follows the path; a path may not be the beginning of another one, as it may here.

    Args:
        rep_dim: the size of the vector x.
        cluster_file: a text file with a line `path word` for each word that has a path, separated by spaces or tabs.
            Each character of the path is a step, as in the bit strings of Brown clusters. The rest of a line, such as a
            frequency, is ignored.
        word_dict: maps each word to its number. The numbers are 0, 1, 2, ... without gaps.
        pc: the collection that gets the parameters: the vectors and biases of nodes with two children, weights and bias
            of each node with more, then those for the words of each path with several.
        bias: whether there are biases.

    Raises:
        ArgumentError: the file has no words, a repeated word, or a word that `word_dict` lacks; the numbers have gaps;
            or the loss of a word without a path is requested.
        OSError: the file cannot be read.

    Source: Morin and Bengio, "Hierarchical probabilistic neural network language model", 2005.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w+", suffix=".txt") as file:
    ...     _ = file.write("00 cat\\n01 dog\\n1 one\\n")
    ...     _ = file.seek(0)
    ...     layer = dy.HierarchicalSoftmaxBuilder(2, file.name, {"cat": 0, "dog": 1, "one": 2}, dy.Model())
    >>> x = dy.inputVector([1, 2])
    >>> abs(layer.neg_log_softmax(x, 1).value() + layer.full_log_distribution(x).value()[1]) < 1e-6
    True
    """

    _collection = "hierarchical-softmax-builder"

    _has_paths = True

    def _add_cluster_weights(self, bias: bool, paths: Sequence[str]) -> None:
        if not all(isinstance(path, str) for path in paths) or not len({*paths}) == len(paths) == len(self._clusters):
            raise ArgumentError(f"{self.whoami()}: a spec needs a different path for each cluster, got {paths!r:.80}")
        self.spec: tuple[object, ...] = (*self.spec[:4], *paths, *self.spec[4:])
        nodes: list[dict[str, int]] = [{}]  # of each node, symbol -> number of the child
        steps: list[list[tuple[int, str]]] = []  # of each path: a node, and the symbol that leads on; "" ends it
        for path in paths:
            node = 0
            steps.append([])
            for symbol in (*path, ""):
                steps[-1].append((node, symbol))
                node = nodes[node].setdefault(symbol, len(nodes))
                nodes += [{}] * (node == len(nodes))
        binary = [[(n, symbol) for symbol in node] for n, node in enumerate(nodes) if len(node) == 2]
        wide = [[(n, symbol) for symbol in node] for n, node in enumerate(nodes) if len(node) > 2]
        sizes = ((self._size, None), (1, ConstInitializer(0.0)))[: (1 + bias) * bool(binary)]
        self._tables = [self._model.add_lookup_parameters((len(binary), n), init=init) for n, init in sizes]
        self._wide = [self._add_weights(len(children), bias) for children in wide]
        self._wide_steps = [(k, index) for k, children in enumerate(wide) for index in range(len(children))]
        order = [pair[k] for k in (0, 1) for pair in binary] + [step for children in wide for step in children]
        row_of = {step: row for row, step in enumerate(order, 1)}
        self._paths = [[row_of[step] for step in path if step in row_of] for path in steps]

    def _scores(self, x: Expression, rows: list[int], is_trained: bool) -> Expression:
        """Return a vector of w . x + b for these rows of the lookup tables."""
        tables = zip(self._tables, (self._size, 1))
        weights, *bias = [reshape(table.batch(rows, is_trained), (size, len(rows))) for table, size in tables]
        return reshape(esum([reshape(x, (1, self._size)) * weights, *bias]), (len(rows),))

    def _cluster_loss(self, x: Expression, cluster: int, is_trained: bool) -> Expression:
        count = len(self._tables and self._tables[0])
        wide = [self._wide_steps[row - 1 - 2 * count] for row in self._paths[cluster] if row > 2 * count]
        losses = [pickneglogsoftmax(_logits(self._wide[k], x, is_trained), index) for k, index in wide]
        if binary := [row - 1 for row in self._paths[cluster] if row <= 2 * count]:
            scores = self._scores(x, [row % count for row in binary], is_trained)
            losses.append(binary_log_loss_of_logits(scores, inputVector([row < count for row in binary])))
        return esum(losses or [constant((1,), 0.0, x.type.batch)])

    def _losses(self, x: Expression, c: list[int], is_trained: bool) -> Expression:
        return concatenate_to_batch([self._loss(pick_batch_elem(x, k), word, is_trained) for k, word in enumerate(c)])

    def _cluster_logits(self, x: Expression, is_trained: bool) -> Expression:
        """Return log p of each cluster: a sum of log p of its path's steps. Step 0, whose log p is 0, pads paths."""
        log_ps = [constant((1,), 0.0, x.type.batch)]
        for table in self._tables[:1]:
            scores = self._scores(x, [*range(len(table))], is_trained)
            log_ps += [log_sigmoid(scores), log_sigmoid(-scores)]
        steps = concatenate([*log_ps, *[log_softmax(_logits(each, x, is_trained)) for each in self._wide]])
        return esum([select_rows(steps, rows) for rows in zip_longest(*self._paths, fillvalue=0)] or [steps])


class AdaptiveSoftmaxBuilder(ClassFactoredSoftmaxBuilder):
    r"""A softmax layer for classes in the order of their frequency: rare classes are in clusters with smaller weights.

    The first `cutoffs[0]` classes, which are the most frequent ones, and the clusters share a softmax, the head.
    Cluster i has the classes from `cutoffs[i]` to before `cutoffs[i + 1]`; the last one ends with the last class.

    .. math:: p(c) = \mathrm{softmax}(H x + b)_i\, \mathrm{softmax}(W_i P_i x)_{c - cutoffs[i]}

    for a class c of cluster i, where :math:`P_i` projects x to rep_dim / div_value^(i + 1) numbers, rounded down. The
    loss of a class depends only on the head and on its cluster. With the same weights, the result is that of PyTorch's
    `AdaptiveLogSoftmaxWithLoss`.

    Args:
        rep_dim: the size of the vector x.
        cutoffs: a list of increasing numbers of classes, from 1 to num_classes - 1.
        num_classes: the number of classes.
        pc: the collection that gets the parameters: weights (cutoffs[0] + clusters, rep_dim) and bias of the head, then
            P and W of each cluster.
        div_value: by how much the size of the projection shrinks with each cluster, 1 or more.
        bias: whether the head has the bias b.

    Raises:
        ArgumentError: the cutoffs do not increase or are out of range, or a projection would have size 0.

    Source: Grave and others, "Efficient softmax approximation for GPUs", 2017.

    >>> layer = dy.AdaptiveSoftmaxBuilder(4, [2, 5], 9, dy.Model(), div_value=2)
    >>> [p.shape() for p in layer.param_collection().parameters_list()]
    [(4, 4), (2, 4), (3, 2), (1, 4), (4, 1)]
    """

    def __init__(
        self,
        rep_dim: Index,
        cutoffs: Iterable[Index],
        num_classes: Index,
        pc: ParameterCollection,
        div_value: Number = 4.0,
        bias: bool = False,
    ):
        name = self.whoami()
        self._size, self._count = checked_size(name, "rep_dim", rep_dim), checked_size(name, "num_classes", num_classes)
        divisor, bias = checked_number(f"{name}: div_value", div_value, AT_LEAST_1), checked_flag(name, "bias", bias)
        cutoffs = [checked_size(name, "a cutoff", end) for end in checked_list(name, cutoffs, "cutoffs")]
        ends = [*cutoffs, self._count]
        if any(begin >= end for begin, end in pairwise(ends)):
            raise ArgumentError(f"{name}: cutoffs and num_classes must increase, got {cutoffs!r:.80}, {self._count}")
        self.spec: tuple[object, ...] = (self._size, cutoffs, self._count, divisor, bias)
        with self._in_new_collection("adaptive-softmax-builder", pc, "pc"):
            self._of_clusters = self._add_weights(ends[0] + len(cutoffs), bias)
            self._bounds = [*range(ends[0] + 1), *ends[1:]]
            self._clusters = [range(begin, end) for begin, end in pairwise(self._bounds)]
            self._of_words = [[] for _ in range(ends[0])]
            for k, words in enumerate(self._clusters[ends[0] :], 1):
                size = checked_size(name, f"rep_dim / div_value^{k}", int(self._size // divisor**k))
                self._of_words.append(self._add((size, self._size), (len(words), size)))

    @classmethod
    def from_spec(cls, spec: Sequence[Any], model: ParameterCollection) -> Self:
        """Make a new layer from the `spec` of another layer. `model` gets its parameters; values are not copied."""
        size, cutoffs, count, div_value, bias = spec[:5]  # no `*`: a file may have a huge `range`
        if not isinstance(cutoffs, (list, tuple)):
            raise ArgumentError(f"{cls.__name__}: the cutoffs of a spec are a list, not {cutoffs!r:.40}")
        return cls(size, cutoffs, count, model, div_value, bias)

    def _place_of(self, c: int) -> tuple[int, int]:
        cluster = bisect_right(self._bounds, c) - 1
        return cluster, c - self._bounds[cluster]

    def _word_logits(self, cluster: int, x: Expression, is_trained: bool) -> Expression:
        projection, weights = self._of_words[cluster][:1], self._of_words[cluster][1:]
        return _logits(weights, _logits(projection, x, is_trained), is_trained)
