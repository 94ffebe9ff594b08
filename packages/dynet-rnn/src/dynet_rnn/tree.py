"""Networks over trees: TreeLSTMs, which compute the state of a tree node from its input and its children's states.

Each layer adds one record for a tree node. The record's last node holds h, the output, followed by c, the memory.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

from dynet_core.annotations import Index
from dynet_core.dim import Dim
from dynet_core.errors import ArgumentError, ArgumentTypeError
from dynet_core.graph import current
from dynet_core.graph.expression import Expression
from dynet_core.graph.record import PinnedGraph, common_batch, graph_of
from dynet_core.graph.templates import with_templates
from dynet_core.parameter import ParameterCollection, Parameters
from dynet_core.recorder import call_key
from dynet_ops.network.cells import child_sum_signature, nary_signature
from dynet_ops.operands import checked_size
from dynet_ops.random.draws import dropout
from dynet_ops.select.picking import select_cols

from .base import LayersBuilder, Run, check_vector, state_value_signature
from .structures import edges_of, states_of


@with_templates
def _record_node(x: Expression | None, children: Sequence, weights: Sequence, dropout_rate: float) -> Expression:
    """Record a tree node in one layer, and return h. `children` has each child's h in this layer, None if absent."""
    W, *U, b = weights
    hidden, states = U[0].type.columns, [child for child in children if child is not None]
    vectors = states if x is None else [x, *states]
    graph, batch = graph_of("add_input", vectors), common_batch("add_input", [e.type for e in vectors or [b]])
    if x is not None:
        check_vector("add_input: the input", x.type, "the network", W.type.columns)
        x = dropout(x, dropout_rate) if dropout_rate else x
    dim = None if x is None else x.type.plain
    if states and U[0].type.rows < W.type.rows:  # child-sum: copies of states have the largest batch size
        largest = max([state.type.batch for state in states])
        h_and_c, columns = state_value_signature(Dim.of((hidden, 2)), 0), [0] * largest + [1] * largest
        states = [s if s.type.batch == largest else select_cols(graph.append(h_and_c, [s.at]), columns) for s in states]
        signature = child_sum_signature(batch, dim, largest, *[e.type for e in (b, W, *U)])
    elif len(children) > len(U):
        raise ArgumentError(f"add_input: {len(children)} children, but the network has weights for {len(U)}")
    else:
        U = [matrix for matrix, child in zip(U, children) if child is not None]
        sizes = tuple([0 if child is None else child.type.batch for child in children])
        signature = nary_signature(hidden, batch, dim, sizes, *[e.type for e in (b, W, *U)])
    operands = [e.at for e in (b, W, b if x is None else x, *U, *states)]
    return graph.append(signature, (len(operands), *operands))


class TreeState:
    """The state of a tree node, or the initial state, which belongs to no node.

    A builder's `initial_state` returns the initial state, whose `add_input` makes the states of the nodes:

    >>> lstm = dy.ChildSumTreeLSTMBuilder(1, 2, 3, dy.Model())
    >>> start = lstm.initial_state()
    >>> leaf = start.add_input(dy.inputVector([1, 2]))
    >>> root = start.add_input(dy.inputVector([3, 4]), [leaf, leaf])
    >>> root.output().dim()
    ((3,), 1)
    """

    __slots__ = ("_children", "_h", "_output", "_run")

    _children: tuple[TreeState | None, ...]
    _h: tuple[Expression, ...]  # h of each layer; () in the initial state
    _output: Expression  # None in the initial state
    _run: Run

    def add_input(self, x: Expression | None = None, children: Sequence[TreeState | None] | None = None) -> TreeState:
        """Compute the state of a node from its input and its children's states.

        Args:
            x: a vector of size input_dim; None for a node without an input.
            children: the states of the children, from the same builder. `NaryTreeLSTMBuilder` limits their number, and
                takes None for an absent child. By default, this state is the only child; if it is the initial state,
                there is none.

        Raises:
            ArgumentError: there are too many children, or a child is the initial state.
            ShapeError: x is not of size input_dim, or two batch sizes differ and neither is 1.
        """
        run, hs_of_children = self._run, []
        child_states = tuple(children) if children is not None else (self,) if self._h else ()
        try:
            is_surely_valid = run.graph.watch is None and (child_states if x is None else x.version == run.version)
            for child in child_states:
                if child is None:
                    is_surely_valid = is_surely_valid and x and run.builder._most
                elif child._run is not run:
                    is_surely_valid = False
                hs_of_children.append(child and child._h[0])
        except (AttributeError, IndexError):  # a child is the initial state, or an argument has a wrong type
            is_surely_valid = False
        if not is_surely_valid:  # raise an error, if there is one
            self._check_children(child_states)
            hs_of_children = [child and child._h[0] for child in child_states]
        layers, (rate,) = run.expressions, run.builder._rates
        output = _record_node(x, hs_of_children, layers[0], rate)
        h = (output,)
        for weights in layers[1:]:
            output = _record_node(output, [child and child._h[len(h)] for child in child_states], weights, rate)
            h = (*h, output)
        state = TreeState()
        state._run, state._children, state._h = run, child_states, h
        state._output = dropout(output, rate) if rate else output
        return state

    def _check_children(self, children: Sequence[TreeState | None]) -> None:
        """Raise an error if this state is stale, or if a child is not a state of this builder."""
        run = self._run
        PinnedGraph.as_of(run.graph, run.version)
        graph_of("add_input", self._h)
        for index, child in enumerate(children):
            if child is None and run.builder._most:
                continue
            if not isinstance(child, TreeState):
                raise ArgumentTypeError(f"add_input: child {index} must be a TreeState, not {type(child).__name__}")
            if child._run.builder is not run.builder:
                raise ArgumentError(f"add_input: child {index} is of a different {child._run.builder.whoami()}")
            if not child._h:
                raise ArgumentError(f"add_input: child {index} is the initial state, which is not a node")

    def add_inputs(
        self,
        xs: Iterable[Expression | None],
        heads: Iterable[Index] | None = None,
        *,
        children: Iterable[Iterable[Index]] | None = None,
    ) -> list[TreeState]:
        """Return the states of all nodes of one or several trees.

        Args:
            xs: the input of each node, as in `add_input`.
            heads: for each node, the index of its parent in `xs`; -1 for a root. Children are in the order of `xs`.
            children: instead of `heads`, a list of the indices of its children for each node.

        Raises:
            ArgumentError: an index is out of range, a node is its own ancestor, or the lists differ in length.
        """
        xs = list(xs)
        return states_of("add_inputs", self.add_input, xs, *edges_of("add_inputs", len(xs), heads, children))

    def transduce(
        self,
        xs: Iterable[Expression | None],
        heads: Iterable[Index] | None = None,
        *,
        children: Iterable[Iterable[Index]] | None = None,
    ) -> list[Expression]:
        """Return h of the last layer for each node of one or several trees. The arguments are as in `add_inputs`.

        This is faster than `add_inputs`.
        """
        run = self._run
        outputs: list[Any] = list(xs)
        edges, (rate,) = edges_of("transduce", len(outputs), heads, children), run.builder._rates
        self._check_children(())
        for weights in run.expressions:
            outputs = states_of("transduce", _record_node, outputs, *edges, weights, rate)
        return [*map(dropout, outputs, itertools.repeat(rate))] if rate else outputs

    def output(self) -> Expression:
        """Return h of the last layer, after dropout; None for the initial state."""
        if call_key(self._output) is None:  # the node may be stale, which is an error
            graph_of("output", self._h)
        return self._output  # not annotated as optional, so that type checkers accept every use of an output

    def h(self) -> tuple[Expression, ...]:
        """Return h of each layer, first layer first; () for the initial state."""
        graph_of("h", self._h)
        return self._h

    def s(self) -> tuple[Expression, ...]:
        """Return all vectors of the state: c of each layer, then h of each layer; () for the initial state."""
        c = [graph_of("s", self._h).append(state_value_signature(h.type, 1), [h.at]) for h in self._h]
        return (*c, *self._h)

    def children(self) -> tuple[TreeState | None, ...]:
        """Return the states of the node's children; None for an absent child."""
        return self._children

    def b(self) -> _TreeBuilder:
        """Return the builder of the network."""
        return self._run.builder


class _TreeBuilder(LayersBuilder):
    """Base of the builders of networks over trees.

    Dropout applies to each layer's inputs and the last layer's output, with new masks for each node, but not to states.
    """

    _rates = (0.0,)
    _most = 0  # the largest number of children, some of which may be absent; 0 means any number

    def initial_state(self, update: bool = True) -> TreeState:
        """Return the initial state, which belongs to no node. Its `add_input` makes the states of the nodes.

        Args:
            update: False treats the parameters as constants: they get no gradient from these trees.
        """
        state, graph = TreeState(), current()
        expressions = [[p.expr(update) for p in layer] for layer in self._parameters]
        state._run = self._latest.run = Run(self, graph, graph.version(), expressions)
        state._children, state._h, state._output = (), (), None  # type: ignore[assignment]
        return state


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
        layers: the number of layers. Each reads the outputs of the layer before.
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
        layers: the number of layers. Each reads the outputs of the layer before.
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

    def __init__(
        self, layers: Index, input_dim: Index, hidden_dim: Index, model: ParameterCollection, children: Index = 2
    ):
        self._most = checked_size("NaryTreeLSTMBuilder", "children", children)
        super().__init__(layers, input_dim, hidden_dim, model)
        self._spec = (*self._spec, self._most)

    def _add_layer(self, n: int, m: int) -> list[Parameters]:
        rows = (3 + self._most) * m
        # A file may say any number of children: a list of all shapes could need too much memory.
        return [*self._add((rows, n)), *[self._add((rows, m))[0] for _ in range(self._most)], *self._add((rows,))]
