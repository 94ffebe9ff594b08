"""Multi-head attention, the layers of transformers, and learned positions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from dynet_core.annotations import Index
from dynet_core.checks import checked_flag
from dynet_core.errors import ArgumentError, ArgumentTypeError
from dynet_core.graph.expression import Expression
from dynet_core.parameter import ParameterCollection
from dynet_ops.elementwise.functions import rectify
from dynet_ops.network.attention import dot_product_attention
from dynet_ops.network.norm import layer_norm_dim
from dynet_ops.operands import checked_count, checked_size
from dynet_ops.random.draws import dropout
from dynet_ops.select.picking import pickrange
from dynet_ops.shape.joining import concatenate
from dynet_ops.shape.layout import reshape

from .base import LayerBuilder, WithDropout, affine, as_columns

Vectors: TypeAlias = Expression | Iterable[Expression]
Memory: TypeAlias = tuple[Expression, Expression]
"""The keys and values of a sequence, from `MultiHeadAttentionBuilder.remember`."""


class MultiHeadAttentionBuilder(WithDropout, LayerBuilder):
    r"""Attention by several heads, y = W_o dot_product_attention(W_q x, W_k m, W_v m) + b_o, with biases of all four.

    A sequence of n vectors is a matrix (dim, n), or a list of vectors. It attends to itself, or to a memory m.

    To generate word by word, keep the keys and values of the words so far: each call of `remember` adds a word's. This
    computes the same as `attend` to the whole sequence with `causal=True`. `set_dropout` sets the probability of
    dropping a weight of the softmax.

    Args:
        dim: the size of the vectors.
        heads: the number of heads, a divisor of `dim`.
        pc: the collection that gets the parameters: a matrix (dim, dim), and with `bias` a vector (dim,), each for
            queries, keys, values and results.
        bias: whether there are biases.

    Raises:
        ShapeError: the vectors or the mask do not fit.

    Source: Vaswani and others, "Attention is all you need", 2017.

    >>> attention = dy.MultiHeadAttentionBuilder(4, 2, dy.Model())
    >>> x = dy.random_normal((4, 3))
    >>> attention.attend(x).dim()
    ((4, 3), 1)
    >>> memory, ys = None, []
    >>> for k in range(3):  # word by word
    ...     word = dy.pick(x, k, 1)
    ...     memory = attention.remember(word, memory)
    ...     ys.append(attention.attend(word, memory))
    >>> whole = attention.attend(x, causal=True)
    >>> bool(abs(whole.npvalue() - dy.concatenate_cols(ys).npvalue()).max() < 1e-5)
    True
    """

    _size_count: int = 2
    _rates: tuple[float, ...] = (0.0,)

    def __init__(self, dim: Index, heads: Index, pc: ParameterCollection, bias: bool = True):
        name = self.whoami()
        self._size, self._heads = checked_size(name, "dim", dim), checked_size(name, "heads", heads)
        if self._size % self._heads:
            raise ArgumentError(f"{name}: dim must be a multiple of heads, but dim is {dim}, and heads is {heads}")
        self.spec: tuple[object, ...] = self._size, self._heads, checked_flag(name, "bias", bias)
        shapes = (self._size, self._size), *[(self._size,)] * bias
        with self._in_new_collection("multi-head-attention", pc, "pc"):
            self._query, self._key, self._value, self._output = [self._add(*shapes) for _ in range(4)]

    def _described(self) -> str:
        return f"{self._heads} heads of {self._size // self._heads}"

    def remember(self, x: Vectors, memory: Memory | None = None, update: bool = True) -> Memory:
        """Return the keys and values of a sequence, a pair of matrices, to which `attend` can attend.

        Args:
            x: the sequence.
            memory: the keys and values so far, to which those of x are added at the end.
            update: False treats the parameters as constants: they get no gradient.
        """
        old = () if memory is None else self._checked_memory("remember", memory)
        new = self._keys_and_values(as_columns("remember", x, self.whoami(), self._size), update)
        keys, values = [x if len(x.type.dims) == 2 else reshape(x, (self._size, 1)) for x in new]
        return (concatenate([old[0], keys], 1), concatenate([old[1], values], 1)) if old else (keys, values)

    def attend(
        self,
        x: Vectors,
        memory: Vectors | Memory | None = None,
        mask: Any = None,
        causal: bool = False,
        update: bool = True,
    ) -> Expression:
        """Return a matrix (dim, n) with the result for each vector of a sequence.

        Args:
            x: the sequence.
            memory: another sequence, or the pair that `remember` returned. None for x itself.
            mask, causal: as in `dot_product_attention`.
            update: False treats the parameters as constants: they get no gradient.
        """
        x = as_columns("attend", x, self.whoami(), self._size)
        if isinstance(memory, tuple) and all(isinstance(x, Expression) and len(x.type.dims) == 2 for x in memory):
            memory = self._checked_memory("attend", memory)
        elif memory is not None:
            memory = self._keys_and_values(as_columns("attend: memory", memory, self.whoami(), self._size), update)
        return self._attended(x, memory, mask, causal, update)

    def _keys_and_values(self, x: Expression, update: bool) -> Memory:
        return affine(self._key, x, update), affine(self._value, x, update)

    def _attended(self, x: Expression, memory: Memory | None, mask: Any, causal: bool, update: bool) -> Expression:
        """Do what `attend` does, with a matrix x and the keys and values of a memory, which are checked already."""
        keys, values = memory or self._keys_and_values(x, update)
        queries = affine(self._query, x, update)
        y = dot_product_attention(queries, keys, values, mask, causal, self._heads, self._rates[0])
        return affine(self._output, y, update)

    def _checked_memory(self, name: str, memory: Any) -> Memory:
        if not isinstance(memory, tuple) or len(memory) != 2:
            raise ArgumentTypeError(f"{name}: memory must be the pair that remember returned, not {memory!r:.60}")
        keys, values = [as_columns(f"{name}: memory", x, self.whoami(), self._size) for x in memory]
        return keys, values


class _TransformerLayer(WithDropout, LayerBuilder):
    """Base of layers with some attentions and a feed-forward network. Each adds its result to its input."""

    _size_count: int = 3
    _rates: tuple[float, ...] = (0.0,)
    _collection: str

    def __init__(self, dim: Index, heads: Index, inner_dim: Index, pc: ParameterCollection, pre_norm: bool, count: int):
        name = self.whoami()
        self._size, inner = checked_size(name, "dim", dim), checked_size(name, "inner_dim", inner_dim)
        self._is_first = checked_flag(name, "pre_norm", pre_norm)
        self.spec: tuple[object, ...] = (self._size, checked_size(name, "heads", heads), inner, self._is_first)
        with self._in_new_collection(self._collection, pc, "pc"):
            self._attentions = [MultiHeadAttentionBuilder(dim, heads, self._model) for _ in range(count)]
            self._inner = self._add((inner, self._size), (inner,))
            self._outer = self._add((self._size, inner), (self._size,))
            self._norms = [
                [self._model.add_parameters(self._size, init=start) for start in (1, 0)] for _ in range(count + 1)
            ]

    def _described(self) -> str:
        return f"{self.spec[1]} heads, {self._size} to {self.spec[2]} to {self._size}"

    def _set_dropout_rates(self, rates: tuple[float, ...]) -> None:
        super()._set_dropout_rates(rates)
        for attention in self._attentions:
            attention._set_dropout_rates(rates)

    def _added(self, k: int, x: Expression, function: Callable[[Expression], Expression], update: bool) -> Expression:
        """Return x + function(x), normalized by norm number k: the argument if `pre_norm`, otherwise the sum."""
        gain, bias = self._norms[k] if update else [p.expr(False) for p in self._norms[k]]
        if self._is_first:
            return x + self._dropped(function(layer_norm_dim(x, gain, bias)))
        return layer_norm_dim(x + self._dropped(function(x)), gain, bias)

    def _dropped(self, x: Expression) -> Expression:
        return dropout(x, self._rates[0]) if self._rates[0] else x

    def _fed_forward(self, x: Expression, update: bool) -> Expression:
        return self._added(
            -1, x, lambda y: affine(self._outer, self._dropped(rectify(affine(self._inner, y, update))), update), update
        )


class TransformerEncoderLayerBuilder(_TransformerLayer):
    """A layer of a transformer's encoder: self-attention, then a feed-forward network.

    z = norm(x + attention(x)) and y = norm(z + W_2 rectify(W_1 z + b_1) + b_2), where norm is `layer_norm_dim` with
    trained scale and shift. With `pre_norm`, z = x + attention(norm(x)), and y accordingly; then the output of the last
    layer is usually normalized too. A sequence of n vectors is a matrix (dim, n), or a list of vectors. `set_dropout`
    sets the probability of dropping a value in both sums, after `rectify` and among the attention's weights.

    Args:
        dim: the size of the vectors.
        heads: the number of heads, a divisor of `dim`.
        inner_dim: the number of rows of W_1.
        pc: the collection that gets the parameters.
        pre_norm: whether to normalize before the attention and before the feed-forward network, not after the sums.

    Source: Vaswani and others, "Attention is all you need", 2017; `pre_norm`: Xiong and others, "On layer normalization
    in the transformer architecture", 2020.

    >>> layers = [dy.TransformerEncoderLayerBuilder(4, 2, 8, m) for m in [dy.Model()] for _ in range(2)]
    >>> x = dy.random_normal((4, 3)) + dy.sinusoidal_positions(4, 3)
    >>> for layer in layers:
    ...     x = layer.encode(x)
    >>> x.dim()
    ((4, 3), 1)
    """

    _collection = "transformer-encoder-layer"

    def __init__(self, dim: Index, heads: Index, inner_dim: Index, pc: ParameterCollection, pre_norm: bool = False):
        super().__init__(dim, heads, inner_dim, pc, pre_norm, 1)

    def encode(self, x: Vectors, mask: Any = None, causal: bool = False, update: bool = True) -> Expression:
        """Return a matrix (dim, n) with the result for each vector of a sequence.

        Args:
            x: the sequence.
            mask, causal: as in `dot_product_attention`.
            update: False treats the parameters as constants: they get no gradient.
        """
        x = as_columns("encode", x, self.whoami(), self._size)
        attended = self._attentions[0]._attended
        return self._fed_forward(self._added(0, x, lambda y: attended(y, None, mask, causal, update), update), update)


class TransformerDecoderLayerBuilder(_TransformerLayer):
    """A layer of a transformer's decoder: self-attention to earlier words, attention to the encoder, and feed-forward.

    Its parts are those of `TransformerEncoderLayerBuilder`, each with a sum and a norm.

    Args:
        dim, heads, inner_dim, pc, pre_norm: as in `TransformerEncoderLayerBuilder`.
        has_encoder: False leaves out the attention to an encoder, for a language model.

    Source: Vaswani and others, "Attention is all you need", 2017.

    >>> layer = dy.TransformerDecoderLayerBuilder(4, 2, 8, dy.Model())
    >>> encoded, x = dy.random_normal((4, 5)), dy.random_normal((4, 3))
    >>> y, _ = layer.decode(x, encoded)
    >>> y.dim()
    ((4, 3), 1)
    >>> cache, encoded = None, layer.remember(encoded)
    >>> for k in range(3):  # word by word, such as while generating
    ...     word, cache = layer.decode(dy.pick(x, k, 1), encoded, cache)
    >>> bool(abs(word.npvalue().ravel() - y.npvalue()[:, 2]).max() < 1e-5)
    True
    """

    _collection = "transformer-decoder-layer"

    def __init__(
        self,
        dim: Index,
        heads: Index,
        inner_dim: Index,
        pc: ParameterCollection,
        pre_norm: bool = False,
        has_encoder: bool = True,
    ):
        count = 1 + checked_flag(self.whoami(), "has_encoder", has_encoder)
        super().__init__(dim, heads, inner_dim, pc, pre_norm, count)
        self.spec: tuple[object, ...] = *self.spec, has_encoder

    def remember(self, encoded: Vectors, update: bool = True) -> Memory:
        """Return the keys and values of the encoder's output, for many calls of `decode` with the same output."""
        if len(self._attentions) < 2:
            raise ArgumentError("remember: this layer was made with has_encoder=False")
        return self._attentions[1].remember(encoded, None, update)

    def decode(
        self,
        x: Vectors,
        encoded: Vectors | Memory | None = None,
        cache: Memory | None = None,
        mask: Any = None,
        update: bool = True,
    ) -> tuple[Expression, Memory]:
        """Return a matrix (dim, n) with the result for each vector of a sequence, and the cache for the next words.

        Args:
            x: the sequence. A word attends only to itself and earlier words.
            encoded: the output of the encoder (dim, m), or the pair that `remember` returned for it. None with
                `has_encoder=False`.
            cache: what the call for the earlier words of the sequence returned. None if there are none.
            mask: booleans (m, n): whether a word of x (column) may attend to a vector of `encoded` (row).
            update: False treats the parameters as constants: they get no gradient.
        """
        x = as_columns("decode", x, self.whoami(), self._size)
        to_self, *to_encoder = self._attentions
        if (encoded is None) == bool(to_encoder):
            raise ArgumentError(f"decode: this layer has_encoder={bool(to_encoder)}, and encoded is {encoded!r:.60}")
        if encoded is None and mask is not None:
            raise ArgumentError("decode: the mask is for the attention to an encoder, which this layer lacks")
        caches = []

        def attend_to_self(y: Expression) -> Expression:
            caches.append(to_self.remember(y, cache, update))
            return to_self.attend(y, caches[0], None, True, update)

        x = self._added(0, x, attend_to_self, update)
        for attention in to_encoder:
            x = self._added(1, x, lambda y: attention.attend(y, encoded, mask, False, update), update)  # noqa: B023
        return self._fed_forward(x, update), caches[0]


class LearnedPositionsBuilder(LayerBuilder):
    """A trained vector for each position of a sequence, to be added to the words' vectors.

    Args:
        dim: the size of the vectors.
        longest: the number of positions.
        pc: the collection that gets the parameter, a matrix (dim, longest).

    Raises:
        ArgumentError: a sequence is longer.

    Source: Gehring and others, "Convolutional sequence to sequence learning", 2017.

    >>> positions = dy.LearnedPositionsBuilder(4, 60, dy.Model())
    >>> (dy.random_normal((4, 3)) + positions.vectors(3)).dim()
    ((4, 3), 1)
    """

    _size_count: int = 2

    def __init__(self, dim: Index, longest: Index, pc: ParameterCollection):
        name = self.whoami()
        self._size, self._longest = checked_size(name, "dim", dim), checked_size(name, "longest", longest)
        self.spec: tuple[object, ...] = self._size, self._longest
        with self._in_new_collection("learned-positions", pc, "pc"):
            self._parameters = self._add((self._size, self._longest))

    def _described(self) -> str:
        return f"{self._longest} positions of {self._size}"

    def vectors(self, n: Index, start: Index = 0, update: bool = True) -> Expression:
        """Return the matrix (dim, n) of the vectors of positions start, start + 1, ..., start + n - 1.

        Args:
            n: the length of the sequence.
            start: the number of earlier words.
            update: False treats the parameters as constants: they get no gradient.
        """
        n, start = checked_count("vectors", "n", n), checked_count("vectors", "start", start)
        if start + n > self._longest:
            raise ArgumentError(f"vectors: {start + n} positions are needed, this {self.whoami()} has {self._longest}")
        return pickrange(self._parameters[0].expr(update), start, start + n, 1)


__all__ = [
    "LearnedPositionsBuilder", "MultiHeadAttentionBuilder", "TransformerDecoderLayerBuilder",
    "TransformerEncoderLayerBuilder",
]  # fmt: skip
