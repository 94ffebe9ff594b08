"""Networks over trees: TreeLSTMs, which compute the state of a tree node from its input and its children's states.

The state of a tree node has two vectors in each layer: h, the output, and c, the memory. For each tree node, a layer
adds one *record* to the computation graph. A record is one or more graph nodes that are added together. The last of
them holds h and then c; its number is called the place of the state. A *signature* says what a record computes, and
for which shapes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dynet_core.annotations import Index
from dynet_core.checks import whole
from dynet_core.dim import Dim
from dynet_core.errors import ArgumentError, ArgumentTypeError, ShapeError, StaleExpressionError
from dynet_core.expression import Expression
from dynet_core.graph import Graph, current
from dynet_core.parameter import ParameterCollection, Parameters
from dynet_core.pinned_graph import PinnedGraph
from dynet_core.record import append, graph_of
from dynet_core.signature import Signature
from dynet_ops.input.constants import zeros
from dynet_ops.network.trees import child_sum_signature, nary_signature, widened_signature
from dynet_ops.operands import checked_size

from .base import LayersBuilder
from .layers import check_vector
from .run import Run
from .state import value_of_state


class TreeRun(Run):
    """What all states of a network over trees that stem from one call of `initial_state` have in common."""

    __slots__ = ("_nothing",)

    def __init__(self, builder: _TreeBuilder, graph: Graph, expressions: list[list[Expression]]):
        super().__init__(builder, graph, expressions)
        # The zeros that absent children have as their state; None if they have not been made yet.
        self._nothing: Expression | None = None

    def pinned(self, version: int | None = None, places: Sequence[int] = ()) -> PinnedGraph:
        """Return the graph, to which nodes can be added, after checking that it still has certain nodes.

        Args:
            version: the version of the graph when these nodes were recorded; None for that of `initial_state`.
            places: the numbers of these nodes.

        Raises:
            StaleExpressionError: `renew_cg` or `cg_revert` has removed one of them.
        """
        return PinnedGraph.as_of(self.graph, self.version if version is None else version, places)

    def absent(self) -> int:
        """Return the number of a graph node of zeros, the state of an absent child. Add this node if there is none."""
        if self._nothing is None or not self.graph.holds(self._nothing):
            self._nothing = zeros((2 * self.builder._spec[2],))
        return self._nothing.at


class TreeState:
    """The state of a node of a tree, or the initial state, which belongs to no node.

    `initial_state` of a builder returns the initial state. Its `add_input` makes the states of the nodes:

    >>> lstm = dy.ChildSumTreeLSTMBuilder(1, 2, 3, dy.Model())
    >>> start = lstm.initial_state()
    >>> leaf = start.add_input(dy.inputVector([1, 2]))
    >>> root = start.add_input(dy.inputVector([3, 4]), [leaf, leaf])
    >>> root.output().dim()
    ((3,), 1)
    """

    __slots__ = ("_batch", "_children", "_places", "_run", "_version")

    def __init__(
        self, run: TreeRun, places: tuple[int, ...] = (), batch: int = 1, children: tuple[TreeState | None, ...] = ()
    ):
        self._run, self._places, self._batch, self._children = run, places, batch, children
        self._version = run.graph.version() if places else run.version

    def _pinned(self) -> PinnedGraph:
        """Return the graph, to which nodes can be added. Raise StaleExpressionError if nodes of the state are gone."""
        return self._run.pinned(self._version, self._places)

    def add_input(self, x: Expression | None = None, children: Sequence[TreeState | None] | None = None) -> TreeState:
        """Return the state of a node, from its input and the states of its children.

        Args:
            x: a vector of size input_dim; None for a node without an input.
            children: the states of the children, which come from the same builder. `NaryTreeLSTMBuilder` limits their
                number, and takes None for a child that is absent. If this argument is left out, the node has this
                state as its only child, or no children if this state is the initial one.

        Raises:
            ArgumentError: there are too many children, or one is the initial state.
            ShapeError: x is not of size input_dim, or two batch sizes differ and neither is 1.
        """
        run = self._run
        given = ((self,) if self._places else ()) if children is None else tuple(children)
        graph = self._pinned()
        if x is not None and graph_of("add_input", (x,)).graph is not graph.graph or graph.graph is not current():
            raise StaleExpressionError("add_input: the input and the state belong to different threads' graphs")
        for number, one in enumerate(given):
            _check_child(run, number, one)
        return _record(run, x, given)

    def add_inputs(self, xs: Iterable[Expression | None], heads: Iterable[Index]) -> list[TreeState]:
        """Return the states of all nodes of one or several trees.

        Args:
            xs: the input of each node, as in `add_input`.
            heads: for each node, the index of its parent in `xs`; -1 for a root. The children of a node are ordered by
                their index.

        Raises:
            ArgumentError: a head is neither -1 nor the index of a node, a node is its own ancestor, or there are not
                as many heads as inputs.
        """
        xs = list(xs)
        order, children = _bottom_up(heads, len(xs))
        found: list[TreeState] = [self] * len(xs)
        for node in order:
            found[node] = self.add_input(xs[node], [found[child] for child in children[node]])
        return found

    def transduce(self, xs: Iterable[Expression | None], heads: Iterable[Index]) -> list[Expression]:
        """Return h of the last layer for each node of one or several trees. The arguments are as in `add_inputs`."""
        return [state.output() for state in self.add_inputs(xs, heads)]

    def output(self) -> Expression:
        """Return h of the last layer; None for the initial state.

        The return annotation leaves None out, so that type checkers do not complain about every use of an output.
        """
        return self.h()[-1] if self._places else None  # type: ignore[return-value]

    def h(self) -> tuple[Expression, ...]:
        """Return h of each layer, first layer first; () for the initial state."""
        graph, dim = self._pinned(), self._dim()
        return tuple([graph.node(place, dim) for place in self._places])

    def s(self) -> tuple[Expression, ...]:
        """Return all vectors of the state: c of each layer, then h of each layer; () for the initial state."""
        dim = self._dim()
        c = [append(self._pinned(), value_of_state(dim, 1), [place]) for place in self._places]
        return (*c, *self.h())

    def children(self) -> tuple[TreeState | None, ...]:
        """Return the states of the node's children; None stands for an absent child."""
        return self._children

    def b(self) -> _TreeBuilder:
        """Return the builder of the network."""
        return self._run.builder

    def _dim(self) -> Dim:
        return Dim.of((self._run.builder._spec[2],), self._batch)


def _check_child(run: TreeRun, number: int, child: object) -> None:
    builder = run.builder
    if child is None and builder.takes_gaps:
        return
    if not isinstance(child, TreeState):
        raise ArgumentTypeError(f"add_input: child {number} must be a TreeState, not {type(child).__name__}")
    if child._run.builder is not builder:
        raise ArgumentError(f"add_input: child {number} is a state of another {child._run.builder.whoami()}")
    if child._pinned().graph is not run.pinned().graph:
        raise StaleExpressionError(f"add_input: child {number} belongs to another thread's graph")
    if not child._places:
        raise ArgumentError(f"add_input: child {number} is the initial state, which is no node")


def _record(run: TreeRun, x: Expression | None, children: tuple[TreeState | None, ...]) -> TreeState:
    builder, graph = run.builder, run.pinned()
    _, size, hidden, *_ = builder._spec
    if x is not None:
        check_vector("add_input: the input", x.type, "the network", size)
    sizes = [1 if child is None else child._batch for child in children]
    below = max(sizes, default=0)
    batch = max(below, 1 if x is None else x.type.batch)
    if any(one not in (1, batch) for one in sizes) or (x is not None and x.type.batch not in (1, batch)):
        given = "no input" if x is None else f"input {x.type!r}"
        raise ShapeError(f"add_input: batch sizes differ: {given}, children of batch sizes {sizes}")
    builder.check_count(len(children))
    places, dim = [], None if x is None else x.type.plain
    at = None if x is None else x.at
    for k, weights in enumerate(run.expressions):
        b, W, *rest = weights
        signature = builder.signature(batch, dim, below, len(children), [e.type for e in weights])
        states = [
            _widened(run, child, k, below) if size < below else run.absent() if child is None else child._places[k]
            for child, size in zip(children, sizes)
        ]
        operands = (b.at, W.at, b.at if at is None else at, *[e.at for e in rest], *states)
        node = graph.append(signature, (len(operands), *operands))
        at, dim = node.at, signature.dim
        places.append(at)
    return TreeState(run, tuple(places), batch, children)


def _widened(run: TreeRun, child: TreeState | None, layer: int, batch: int) -> int:
    """Return the number of a new graph node that holds `batch` copies of the state of a child in one layer.

    Args:
        run: what the states have in common.
        child: the state of the child, of batch size 1. None means an absent child, whose state is zero.
        layer: the number of the layer.
        batch: the batch size of the new node.
    """
    place = run.absent() if child is None else child._places[layer]
    return append(run.pinned(), widened_signature(run.builder._spec[2], batch), [place]).at


def _bottom_up(heads: Iterable[Index], count: int) -> tuple[list[int], list[list[int]]]:
    """Return the indices of all tree nodes, children before parents, and a list of the children of each node.

    Args:
        heads: for each node, the index of its parent; -1 for a root.
        count: how many nodes there are.
    """
    numbers = [whole("add_inputs", "a head, the number of a node or -1,", head) for head in heads]
    if len(numbers) != count:
        raise ArgumentError(f"add_inputs: {count} inputs, but {len(numbers)} heads")
    children: list[list[int]] = [[] for _ in range(count)]
    order = []
    for node, head in enumerate(numbers):
        if not -1 <= head < count:
            raise ArgumentError(f"add_inputs: head {head} of node {node} is out of range: nodes are 0 to {count - 1}")
        if head < 0:
            order.append(node)
        else:
            children[head].append(node)
    for node in order:  # the list grows during the loop, so each node's children are visited, too
        order += children[node]
    if len(order) < count:
        lost = min(set(range(count)) - set(order))
        raise ArgumentError(f"add_inputs: node {lost} belongs to no tree: going from head to head leads back to a node")
    return order[::-1], children


class _TreeBuilder(LayersBuilder):
    """Base of the builders of networks over trees."""

    takes_gaps = False  # whether a child may be absent, that is, None

    def initial_state(self, update: bool = True) -> TreeState:
        """Return the initial state, which belongs to no node. Its `add_input` makes the states of the nodes.

        Args:
            update: False treats the parameters as constants: they get no gradient from these trees.
        """
        found = [[p.expr(update) for p in layer] for layer in self._parameters]
        run = self._latest.run = TreeRun(self, current(), [self._operands(layer) for layer in found])
        return TreeState(run)

    def get_parameter_expressions(self) -> list[list[Expression]]:
        """Return the parameters as expressions of the current graph, in a list with one list for each layer.

        Raises:
            ArgumentError: `initial_state` has not been called in the current graph. (ArgumentError is a ValueError.)
        """
        return [[*weights[1:], weights[0]] for weights in super().get_parameter_expressions()]

    def _operands(self, layer: list[Expression]) -> list[Expression]:
        """Move the bias from the end of a layer's parameters to the start, where `signature` expects it."""
        *weights, b = layer
        return [b, *weights]

    def check_count(self, children: int) -> None:
        """Raise ArgumentError if a node may not have so many children. Here any number is allowed."""

    def signature(self, batch: int, x: Dim | None, child_batch: int, children: int, dims: list[Dim]) -> Signature:
        """Return the signature of the record that one layer adds to the graph for a tree node.

        Args:
            batch: the batch size of the tree node's state.
            x: the shape of the layer's input; None if there is no input.
            child_batch: the batch size of the children's states; 0 for a leaf.
            children: how many children the tree node has.
            dims: the shapes of the layer's parameters, with the bias first.
        """
        raise NotImplementedError


class ChildSumTreeLSTMBuilder(_TreeBuilder):
    r"""A TreeLSTM for trees whose nodes have any number of children in no particular order, such as dependency trees.

    .. math::

        \tilde h &= \textstyle\sum_k h_k \\
        i, o &= \sigma(W_{i,o} x + U_{i,o} \tilde h + b_{i,o}) \\
        u &= \tanh(W_u x + U_u \tilde h + b_u) \\
        f_k &= \sigma(W_f x + U_f h_k + b_f) \\
        c &= i \circ u + \textstyle\sum_k f_k \circ c_k \\
        h &= o \circ \tanh(c)

    where k runs over the children; i, o and f are the input, output and forget gates; and :math:`\circ` is the
    elementwise product. A node without an input has x = 0. Nodes of the same height in their trees are computed
    together, in one tree or in many.

    Args:
        layers: the number of layers. Each reads the outputs of the one before.
        input_dim: the size of an input.
        hidden_dim: the size of h, the output of a node, and of c, its memory.
        model: the collection that gets the parameters: for each layer :math:`W` (4 hidden_dim, input size) with
            the rows of i, o, u, f in turn, :math:`U` (3 hidden_dim, hidden_dim) with the rows of i, o, u,
            :math:`U_f` (hidden_dim, hidden_dim), and :math:`b` with the rows of i, o, u, f.

    Source: Tai, Socher and Manning, "Improved semantic representations from tree-structured long short-term memory
    networks", 2015.

    >>> lstm = dy.ChildSumTreeLSTMBuilder(1, 2, 3, dy.Model())
    >>> words = [dy.inputVector([k, 1]) for k in range(3)]
    >>> [y.dim() for y in lstm.initial_state().transduce(words, heads=[1, -1, 1])]
    [((3,), 1), ((3,), 1), ((3,), 1)]
    """

    _collection = "child-sum-tree-lstm-builder"

    def _add_layer(self, n: int, m: int) -> list[Parameters]:
        return self._add((4 * m, n), (3 * m, m), (m, m), (4 * m,))

    def signature(self, batch: int, x: Dim | None, child_batch: int, children: int, dims: list[Dim]) -> Signature:
        """Return the signature of the record for a tree node. The arguments are as in `_TreeBuilder.signature`."""
        return child_sum_signature(batch, x, child_batch, *dims)


class NaryTreeLSTMBuilder(_TreeBuilder):
    r"""A TreeLSTM for trees whose nodes have at most N ordered children, such as binary trees.

    .. math::

        i, o &= \sigma(W_{i,o} x + \textstyle\sum_k U_{k,i,o} h_k + b_{i,o}) \\
        u &= \tanh(W_u x + \textstyle\sum_k U_{k,u} h_k + b_u) \\
        f_j &= \sigma(W_{f_j} x + \textstyle\sum_k U_{k,f_j} h_k + b_{f_j}) \\
        c &= i \circ u + \textstyle\sum_k f_k \circ c_k \\
        h &= o \circ \tanh(c)

    where k runs over the children; i, o and f are the input, output and forget gates; and :math:`\circ` is the
    elementwise product. A child that is None has h = c = 0; a node without an input has x = 0. In the paper, all forget
    gates :math:`f_j` share W and b; here each has its own.

    Args:
        layers: the number of layers. Each reads the outputs of the one before.
        input_dim: the size of an input.
        hidden_dim: the size of h, the output of a node, and of c, its memory.
        model: the collection that gets the parameters: for each layer :math:`W` ((3 + N) hidden_dim, input
            size), :math:`U_1, ..., U_N` ((3 + N) hidden_dim, hidden_dim) and :math:`b`, all with the rows of
            i, o, u and :math:`f_1, ..., f_N` in turn.
        children: N, the largest number of children that a node can have.

    Source: Tai, Socher and Manning, "Improved semantic representations from tree-structured long short-term memory
    networks", 2015.

    >>> lstm = dy.NaryTreeLSTMBuilder(1, 2, 3, dy.Model(), children=2)
    >>> start = lstm.initial_state()
    >>> left, right = [start.add_input(dy.inputVector([k, 1])) for k in range(2)]
    >>> start.add_input(None, [left, right]).output().dim()
    ((3,), 1)
    """

    _collection = "nary-tree-lstm-builder"
    takes_gaps = True

    def __init__(
        self, layers: Index, input_dim: Index, hidden_dim: Index, model: ParameterCollection, children: Index = 2
    ):
        self._most = checked_size("NaryTreeLSTMBuilder", "children", children)
        super().__init__(layers, input_dim, hidden_dim, model)
        self._spec = (*self._spec, self._most)

    def _add_layer(self, n: int, m: int) -> list[Parameters]:
        rows = (3 + self._most) * m
        return self._add((rows, n), *[(rows, m)] * self._most, (rows,))

    def check_count(self, children: int) -> None:
        """Raise ArgumentError if there are more children than the network has weights for."""
        if children > self._most:
            raise ArgumentError(f"add_input: {children} children, but the network has weights for {self._most}")

    def signature(self, batch: int, x: Dim | None, child_batch: int, children: int, dims: list[Dim]) -> Signature:
        """Return the signature of the record for a tree node. The arguments are as in `_TreeBuilder.signature`."""
        return nary_signature(batch, x, child_batch, children, *dims)
