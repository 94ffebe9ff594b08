"""Expressions: the nodes of a graph, and parameters."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from . import device, recorder
from .annotations import Array, Key, Number, Numbers
from .checks import checked_flag
from .dim import Dim
from .errors import ShapeError, StaleExpressionError
from .gpu_tensor import GpuTensor
from .memory import copy_on_gpu, floats_at
from .recorder import ANY_GRAPH, NO_NODE
from .refusals import Refusals
from .tensor import Tensor
from .types import NodeGraph

GRAPH_OF_NODE: list[Callable[[Operations], NodeGraph]] = []
"""Holds the function that returns the graph of a node. `graph` appends it: this module cannot import `graph`."""


class Operations(Refusals):
    """The methods of expressions. The recorder makes the type `Expression` from this class.

    `dynet_ops` adds the operators. Three attributes, all read-only:

    - `at`: the number of the node in its graph; -1 minus its row for a parameter.
    - `version`: the version of the graph; ANY_GRAPH for a parameter.
    - `type`: the Dim.
    """

    __slots__ = ()

    if TYPE_CHECKING:
        at: int
        version: int
        type: Dim

        # Added by dynet_ops.

        def __add__(self, other: Expression | Number) -> Expression: ...
        def __radd__(self, other: Expression | Number) -> Expression: ...
        def __sub__(self, other: Expression | Number) -> Expression: ...
        def __rsub__(self, other: Expression | Number) -> Expression: ...
        def __mul__(self, other: Expression | Number) -> Expression: ...
        def __rmul__(self, other: Expression | Number) -> Expression: ...
        def __truediv__(self, other: Expression | Number) -> Expression: ...
        def __rtruediv__(self, other: Expression | Number) -> Expression: ...
        def __matmul__(self, other: Expression | Number) -> Expression: ...
        def __rmatmul__(self, other: Expression | Number) -> Expression: ...
        def __pow__(self, other: Expression | Number) -> Expression: ...
        def __rpow__(self, other: Expression | Number) -> Expression: ...
        def __neg__(self) -> Expression: ...
        def __abs__(self) -> Expression: ...
        def __getitem__(self, key: Key) -> Expression: ...
        def __iter__(self) -> Iterator[Expression]: ...
        def set(self, values: Numbers) -> None: ...
        @property
        def T(self) -> Expression: ...

    def dim(self) -> tuple[tuple[int, ...], int]:
        """Return the dimensions and the batch size.

        >>> import dynet as dy
        >>> dy.inputVector([1, 2, 3]).dim()
        ((3,), 1)
        """
        return self.type.dims, self.type.batch

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of `npvalue()`: the dimensions, then the batch if it is larger than 1.

        >>> import dynet as dy
        >>> dy.inputTensor([[1, 2, 3], [4, 5, 6]]).shape
        (2, 3)
        """
        return self.type.shape

    def __repr__(self) -> str:
        if self.version == NO_NODE:
            return f"unfinished {type(self).__name__}"
        graph = "parameter" if self.version == ANY_GRAPH else self.version
        return f"expression {self.at}/{graph}: {self.type!r}"

    def __len__(self) -> int:
        """Return the size of the first dimension."""
        return self.type.rows

    def _graph(self) -> NodeGraph:
        """Return the graph of this node.

        Raises:
            StaleExpressionError: the graph is gone, or belongs to another thread.
        """
        return GRAPH_OF_NODE[0](self)

    def _stored(self, recalculate: bool) -> Array:
        """Return the value as a flat view, column-major."""
        if recalculate is not False:
            self._graph()._compute(recalculate)
        return floats_at(self._address(), self.type.total)

    def _address(self, recalculate: bool = False) -> int:
        """Return the address of the value."""
        graph = self._graph()
        if recalculate is not False:
            graph._compute(recalculate)
        return graph.address(self.at)

    def forward(self, recalculate: bool = False) -> None:
        """Compute the graph up to here. With `recalculate`, compute all of it again with the inputs' new values."""
        if self.version != ANY_GRAPH:
            self._graph()._compute(recalculate)

    def npvalue(self, recalculate: bool = False) -> Array:
        """Return the value as an array of shape `dim`. A batch larger than 1 is the last axis.

        >>> import dynet as dy
        >>> dy.inputTensor([[1, 2], [3, 4]]).npvalue()
        array([[1., 2.],
               [3., 4.]], dtype=float32)
        """
        return self._stored(recalculate).reshape(self.type.shape, order="F").copy(order="F")

    def tensor_value(self, recalculate: bool = False) -> Tensor:
        """Return the value as a `Tensor`, which has `argmax` and `categorical_sample`. On a GPU it stays there.

        >>> import dynet as dy
        >>> dy.inputVector([1, 3, 2]).tensor_value().argmax().as_numpy()
        array([1])
        """
        dims, gpu = self.type.dims, device.gpu()
        if gpu is None:
            return Tensor(self.npvalue(recalculate), len(dims))
        return GpuTensor(copy_on_gpu(gpu, self._address(recalculate), self.type.total), self.type.shape, len(dims))

    def scalar_value(self, recalculate: bool = False) -> float:
        """Return the value as a float.

        Raises:
            ShapeError: the expression is not a single number.
        """
        if self.type.total != 1:
            self._refuse_stale()
            raise ShapeError(f"scalar_value: the expression is {self.type!r}, not a single number")
        if self.version == ANY_GRAPH or recalculate is not False:
            return float(self._stored(recalculate)[0])
        return self._graph().number(self.at)

    def vec_value(self, recalculate: bool = False) -> list[float]:
        """Return the value as a flat list, column by column, batch element after batch element."""
        return self._stored(recalculate).tolist()

    def value(self, recalculate: bool = False) -> Any:
        """Return the value in the form that DyNet chooses by its shape.

        This is a float for one number, a flat list for a vector or a batch of vectors, and an array for anything
        larger. Type checkers cannot know which, so the annotation is Any; `scalar_value`, `vec_value` and `npvalue`
        each have one type.
        """
        dim = self.type
        if len(dim.dims) > 1:
            return self.npvalue(recalculate)
        values = self._stored(recalculate).tolist()
        return values[0] if dim.total == 1 else values

    def gradient(self) -> Array:
        """Return the gradient that `backward` computed for this node, shaped like `npvalue()`.

        A node that depends on no parameter has one only after `backward(full=True)`.
        """
        stored = self._graph().gradients(self.at, self.type.total)
        return stored.reshape(self.type.shape, order="F").copy(order="F")

    def backward(self, full: bool = False) -> None:
        """Add the gradient of this number with respect to every parameter to that parameter's gradient.

        A graph can be differentiated again, from this node or from another. A second backward() differentiates the
        values that the forward pass computed, also if a parameter has changed since.

        Args:
            full: also compute the gradients of nodes that depend on no parameter, for `gradient()`. Parameters with
                `set_updated(False)` still get none.

        Raises:
            ShapeError: the expression is not a single number.
        """
        if self.type.total != 1:
            self._refuse_stale()
            raise ShapeError(
                f"backward: the expression is {self.type!r}, not a single number; "
                "sum_elems and sum_batches make one of it"
            )
        if self.version == ANY_GRAPH:
            self._add_to_gradient()
        else:
            self._graph()._differentiate(self.at, 1, full is not False and checked_flag("backward", "full", full))

    def _refuse_stale(self) -> None:
        """Raise StaleExpressionError if the graph is gone. Callers prefer this to the error they are about to raise."""
        if self.version != ANY_GRAPH:
            self._graph()

    def _add_to_gradient(self) -> None:
        raise NotImplementedError


def _quick(kind: str, name: str, numbers: Callable[[Dim], int]) -> None:
    """Replace a method by a compiled version, which calls the Python method for Dims that it does not know.

    Args:
        kind: the kind of the recording function.
        numbers: the number that the compiled version stores for a Dim; 0 leaves this Dim to Python.
    """
    documented = getattr(Operations, name)

    known: set[Dim] = set()

    def call_slowly(self: Operations, *arguments):
        try:
            result = documented(self, *arguments)
        except StaleExpressionError as problem:
            raise StaleExpressionError(str(problem)) from None  # so that the traceback is short
        if self.version != ANY_GRAPH and self.type not in known and (number := numbers(self.type)):
            method.enter((self.type,), 0, self.type, number)
            known.add(self.type)
        return result

    method = recorder.function(kind, functools.update_wrapper(call_slowly, documented))
    setattr(Operations, name, recorder.describe(method, documented))


_quick("value", "value", lambda dim: dim.total if len(dim.dims) <= 1 else 0)
_quick("value", "scalar_value", lambda dim: int(dim.total == 1))
_quick("list", "vec_value", lambda dim: dim.total)
_quick("nothing", "forward", lambda dim: 1)
_quick("address", "_address", lambda dim: 1)
_quick("differentiate", "backward", lambda dim: int(dim.total == 1))

if TYPE_CHECKING:

    class Expression(Operations):
        """A node of the current graph, or a parameter, as an operand of further nodes."""

        __slots__ = ()
else:
    Expression = recorder.expression_type(Operations)
