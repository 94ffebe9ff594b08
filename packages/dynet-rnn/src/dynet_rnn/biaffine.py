"""Biaffine scores of pairs of vectors, as of words and their heads in a dependency parser."""

from __future__ import annotations

from dynet_core.graph.record import common_batch, graph_of
from dynet_core.parameter import ParameterCollection
from dynet_ops import concatenate, matmul, ones, reshape, transpose
from dynet_ops.declare import Expression, Index, ShapeError, checked_flag, checked_size, of_rank

from .base import LayerBuilder, affine


class BiaffineBuilder(LayerBuilder):
    """A biaffine layer, which scores all pairs of vectors: s_ij = [x_i; 1]^T U [y_j; 1], for each label by its own U.

    Args:
        x_dim, y_dim: the sizes of the vectors x_i and y_j.
        pc: the collection that gets the parameters: a matrix (labels * (x_dim + 1), y_dim), and its bias, a vector
            (labels * (x_dim + 1),). Row k * labels + l of both is row k of the U of label l. Without `bias_x`, read
            x_dim for x_dim + 1.
        labels: how many scores a pair has, one for each label.
        bias_x: append the 1 to x_i, so that a score has a part that depends on y_j alone.
        bias_y: append the 1 to y_j, so that a score has a part that depends on x_i alone. Without it, there is no bias.

    Raises:
        ShapeError: the operands of `scores` are not of these shapes.

    Source: Dozat and Manning, "Deep biaffine attention for neural dependency parsing", 2017.

    >>> biaffine = dy.BiaffineBuilder(3, 2, dy.Model())
    >>> heads, words = dy.ones((3, 5)), dy.ones((2, 4))  # ROOT and four words, as heads and as dependents
    >>> scores = biaffine.scores(heads, words)
    >>> scores.dim()
    ((5, 4), 1)
    >>> loss = dy.sum_batches(dy.sum_elems(dy.pickneglogsoftmax(scores, [2, 0, 2, 3])))
    >>> len(dy.chu_liu_edmonds(scores))
    4
    """

    _size_count: int = 2

    def __init__(
        self,
        x_dim: Index,
        y_dim: Index,
        pc: ParameterCollection,
        labels: Index = 1,
        bias_x: bool = True,
        bias_y: bool = True,
    ):
        name = self.whoami()
        sizes = [checked_size(name, *pair) for pair in (("x_dim", x_dim), ("y_dim", y_dim), ("labels", labels))]
        flags = [checked_flag(name, *pair) for pair in (("bias_x", bias_x), ("bias_y", bias_y))]
        self._spec = *sizes, *flags
        self.spec: tuple[object, ...] = self._spec
        rows = sizes[2] * (sizes[0] + flags[0])
        with self._in_new_collection("biaffine-builder", pc, "pc"):
            self._parameters = self._add((rows, sizes[1]), *[(rows,)] * flags[1])

    def _described(self) -> str:
        return "{} and {} to {} scores".format(*self._spec)

    def scores(self, x: Expression, y: Expression, update: bool = True) -> Expression:
        """Return the matrix (n, m) of scores s_ij; with several labels, the tensor (labels, n, m).

        Column j has the scores of all x_i for y_j. If x_i is word i as a head, and y_j word j as a dependent,
        `pickneglogsoftmax` of the columns gives the losses of the heads, and `chu_liu_edmonds` or `eisner` the best
        tree.
        To score chosen pairs only, such as the labels of arcs, make x and y batches of vectors.

        Args:
            x: vectors x_i as columns, (x_dim, n). A vector counts as one column.
            y: vectors y_j as columns, (y_dim, m). A vector counts as one column.
            update: False treats the parameters as constants: they get no gradient.
        """
        x_dim, y_dim, labels, has_bias_x, _ = self._spec
        graph_of("scores", (x, y))
        common_batch("scores", (x.type, y.type))
        for name, dim, size in ("x", x.type, x_dim), ("y", y.type, y_dim):
            if of_rank(dim.dims, 2) != (size, dim.columns) or not dim.columns:
                raise ShapeError(f"scores: {name} is {dim!r}, and must be ({size}, n) for n vectors")
        z = affine(self._parameters, y, update)
        x = concatenate([x, ones((1, x.type.columns))]) if has_bias_x else x
        return transpose(x) * z if labels == 1 else matmul(reshape(z, (labels, x.type.rows, y.type.columns)), x)


__all__ = ["BiaffineBuilder"]
