"""`Expression`: a reference to a node of a graph, or a parameter. Its methods compute values and gradients."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from .. import recorder
from ..annotations import Array, Floats, Index, Key, Number, Numbers
from ..checks import checked_flag
from ..compute import device
from ..compute.memory import copy_on_gpu, floats_at
from ..compute.tensor import GpuTensor, Tensor
from ..dim import Dim
from ..errors import ArgumentTypeError, GradientError, ShapeError, StaleExpressionError
from ..messages.refusals import Refusals
from ..recorder import ANY_GRAPH, NO_NODE
from .graph import graph_of_node, no_node_message

Operand: TypeAlias = "Expression | Number"
FLOAT32, FLOAT64, empty = np.dtype(np.float32), np.dtype(np.float64), np.empty  # looked up once, to save time


class Operations(Refusals):
    """The methods of expressions. The package `recorder` derives the class `Expression` from this class.

    `dynet_ops` adds the operators, such as `+`. An expression has three read-only attributes:

    - `at`: the number of the node in its graph; for a parameter, -1 minus its row number in the table PARAMETER_ROWS.
    - `version`: the version of the graph that the node belongs to; ANY_GRAPH for a parameter.
    - `type`: the shape, a `Dim`.
    """

    __slots__ = ()

    if TYPE_CHECKING:  # at run time, the recorder adds the three attributes, and dynet_ops the methods
        at: int
        version: int
        type: Dim

        def __add__(self, other: Operand) -> Expression: ...
        def __radd__(self, other: Operand) -> Expression: ...
        def __sub__(self, other: Operand) -> Expression: ...
        def __rsub__(self, other: Operand) -> Expression: ...
        def __mul__(self, other: Operand) -> Expression: ...
        def __rmul__(self, other: Operand) -> Expression: ...
        def __truediv__(self, other: Operand) -> Expression: ...
        def __rtruediv__(self, other: Operand) -> Expression: ...
        def __matmul__(self, other: Operand) -> Expression: ...
        def __rmatmul__(self, other: Operand) -> Expression: ...
        def __pow__(self, other: Operand) -> Expression: ...
        def __rpow__(self, other: Operand) -> Expression: ...
        def __neg__(self) -> Expression: ...
        def __abs__(self) -> Expression: ...
        def __getitem__(self, key: Key) -> Expression: ...
        def __iter__(self) -> Iterator[Expression]: ...
        def set(self, values: Numbers) -> None: ...
        def set_index(self, index: Index | Iterable[Index]) -> None: ...
        def _add_one_to_gradient(self) -> None: ...  # only parameters have it
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
        """The shape of `npvalue()`: the dimensions, followed by the batch size if it is larger than 1.

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

    _graph = graph_of_node

    def _recompute_if(self, method_name: str, recalculate: bool, message_end: str = "") -> None:
        """If `recalculate`, compute the whole graph again. Error messages contain `method_name` and `message_end`."""
        if recalculate is not False and checked_flag(method_name, "recalculate", recalculate, message_end):
            self.forward(True)

    def _flat_value(self) -> Floats:
        """Return a copy of the value as a flat array, column-major. Compute the value if necessary."""
        graph = self._graph()
        address = self._address()
        kept_chunks = [*graph.engine.chunks]  # keeps the memory: a signal handler may call `renew_cg`, which frees it
        self._refuse_stale()
        copy = floats_at(address, self.type.total).copy()
        del kept_chunks
        return copy

    def _fill_floats(self, array: Array) -> Array:
        """Copy the value into a float32 array of its shape, and return the array. Compute the value if necessary."""
        array.T.reshape(-1)[:] = self._flat_value()
        return array

    _fill_doubles = _fill_floats  # the same for a float64 array; each becomes its own compiled function below

    def _address(self) -> int:
        """Return the address of the value, in floats. Compute the value if necessary."""
        return self._graph().address(self.at)

    def forward(self, recalculate: bool = False) -> None:
        """Compute all expressions of the graph that have not been computed yet, including this one.

        With `recalculate`, compute the whole graph again, with the inputs' present values and new random numbers.
        """
        if self.version != ANY_GRAPH:
            self._graph()._compute(checked_flag("forward", "recalculate", recalculate))

    def npvalue(self, recalculate: bool = False, *, dtype: npt.DTypeLike = np.float64) -> Array:
        """Return a copy of the value as a numpy array of shape `self.shape`. A batch larger than 1 is the last axis.

        Args:
            recalculate: as for `forward`.
            dtype: the type of the array's elements. They are computed as float32.

        >>> import dynet as dy
        >>> dy.inputTensor([[1, 2], [3, 4]]).npvalue()
        array([[1., 2.],
               [3., 4.]])
        """
        if recalculate is not False:
            self._recompute_if("npvalue", recalculate, "; dtype= takes a type")
        # `empty` is called with positional arguments, because keyword arguments would be slower.
        if dtype is np.float64 or np.dtype(dtype) == FLOAT64:
            return self._fill_doubles(empty(self.type.shape, FLOAT64, "F"))
        return self._fill_floats(empty(self.type.shape, FLOAT32, "F")).astype(dtype, copy=False)

    def tensor_value(self, recalculate: bool = False) -> Tensor:
        """Return a copy of the value as a `Tensor`, which has methods such as `argmax`.

        The copy is on the same device as the value. `recalculate` is as for `forward`.

        >>> import dynet as dy
        >>> dy.inputVector([1, 3, 2]).tensor_value().argmax().as_numpy()
        array([1])
        """
        self._recompute_if("tensor_value", recalculate)
        dim, gpu = self.type, device.gpu_in_use()
        if gpu is None:
            return Tensor(self._fill_floats(empty(dim.shape, FLOAT32, "F")), len(dim.dims))
        return GpuTensor(copy_on_gpu(gpu, self._address(), dim.total), dim.shape, len(dim.dims))

    def scalar_value(self, recalculate: bool = False) -> float:
        """Return the value as a float. `recalculate` is as for `forward`.

        Raises:
            ShapeError: the expression is not a single number.
        """
        if self.type.total != 1:
            self._refuse_stale()
            raise ShapeError(f"scalar_value: the expression is {self.type!r}, not a single number")
        self._recompute_if("scalar_value", recalculate)
        return float(self._flat_value()[0])

    def vec_value(self, recalculate: bool = False) -> list[float]:
        """Return the value as a flat list, column by column, one batch element after another.

        `recalculate` is as for `forward`.
        """
        self._recompute_if("vec_value", recalculate)
        return self._flat_value().tolist()

    def value(self, recalculate: bool = False) -> Any:
        """Return the value as a float, a list or an array, depending on the shape, as in DyNet.

        A value with at most one dimension is returned as a float if it is a single number, otherwise as a flat list,
        even for a batch. A value with more dimensions is returned as an array. In contrast, `scalar_value`, `vec_value`
        and `npvalue` always return the same type. `recalculate` is as for `forward`.
        """
        self._recompute_if("value", recalculate)
        dim = self.type
        if len(dim.dims) > 1:
            return self.npvalue()
        values = self._flat_value().tolist()
        return values[0] if dim.total == 1 else values

    def gradient(self, dtype: npt.DTypeLike = np.float64) -> Array:
        """Return the gradient that `backward` computed for this node, as an array shaped like `npvalue()`.

        Only `backward(full=True)` computes the gradients of nodes that depend on no parameter. After `backward()`, this
        method returns zeros for them. `dtype` is as for `npvalue`.

        Raises:
            GradientError: `backward` has not been called; or it was called without `full=True`, parameters have changed
                since, and this expression is an alias, such as a slice. (The value of an alias is a section of another
                expression's value, and only the gradient of that whole value is stored.)
        """
        try:
            stored = self._graph().gradients(self.at, self.type.total)
        except GradientError:
            self._refuse_stale()  # a signal handler may have called `renew_cg` after `_graph` checked this node
            raise
        copy = stored.reshape(self.type.shape, order="F").astype(dtype)
        self._refuse_stale()
        return copy

    def backward(self, full: bool = False) -> None:
        """Differentiate this expression, a single number, and add the derivatives to the parameters' gradients.

        `backward` can be called several times on one graph, for the same expression or for others. If a parameter has
        changed (for example by an update) since values that depend on it were computed, all values are computed again,
        with a warning.

        Args:
            full: whether to compute the gradients of all nodes, even if they depend on no parameter, so that
                `gradient()` can return them. Frozen parameters (`set_updated(False)`) never get a gradient.

        Raises:
            ShapeError: the expression is not a single number.
        """
        if self.type.total != 1:
            self._refuse_stale()
            raise ShapeError(
                f"backward: the expression is {self.type!r}, not a single number; "
                "sum_elems and sum_batches reduce it to one"
            )
        if self.version == ANY_GRAPH:
            self._add_one_to_gradient()
        else:
            for_all_nodes = full is not False and checked_flag("backward", "full", full)
            version = self._graph().records.version
            self._graph()._differentiate(version, self.at, for_all_nodes)  # `_graph` checks again that the node exists

    def _refuse_stale(self) -> None:
        """Raise StaleExpressionError if the graph no longer has this node: other errors would be less helpful."""
        if self.version != ANY_GRAPH:
            self._graph()


def _compile_method(kind: str, name: str, count_of: Callable[[Dim], int]) -> None:
    """Replace the method `name` of `Operations` with a compiled function of this kind (see `recorder.function`).

    The compiled function calls the Python method for new Dims. `count_of(dim)`, such as the number of elements, is
    stored in its table; if the count is 0, the Python method handles all calls with this Dim.
    """
    documented_method = getattr(Operations, name)
    entered_dims: set[Dim] = set()

    def call_slowly(self: Operations, *arguments):
        try:
            try:
                result = documented_method(self, *arguments)
            except StaleExpressionError:  # repeat if a signal handler called `cg_revert`, which kept this node
                self._refuse_stale()
                result = documented_method(self, *arguments)
            if result is not None:
                self._refuse_stale()  # a signal handler may have called `renew_cg` since the value was read
        except StaleExpressionError as problem:
            raise StaleExpressionError(str(problem)) from None  # a new exception, for a shorter traceback
        except IndexError:
            self._refuse_stale()  # a signal handler may have called `renew_cg`, so that the node no longer exists
            raise
        if self.version != ANY_GRAPH and self.type not in entered_dims and (count := count_of(self.type)):
            method.enter((self.type,), 0, self.type, count)  # 0: no signature, because nothing is recorded
            entered_dims.add(self.type)
        return result

    method = recorder.function(kind, functools.update_wrapper(call_slowly, documented_method))
    setattr(Operations, name, recorder.describe(method, documented_method))


_compile_method("value", "value", lambda dim: dim.total if len(dim.dims) <= 1 else 0)
_compile_method("value", "scalar_value", lambda dim: int(dim.total == 1))
_compile_method("list", "vec_value", lambda dim: dim.total)
_compile_method("floats", "_fill_floats", lambda dim: dim.total)
_compile_method("doubles", "_fill_doubles", lambda dim: dim.total)
_compile_method("nothing", "forward", lambda dim: 1)
_compile_method("address", "_address", lambda dim: 1)
_compile_method("differentiate", "backward", lambda dim: int(dim.total == 1))

if TYPE_CHECKING:

    class Expression(Operations):
        """A node of the current graph, or a parameter. It can be an operand of operations."""

        __slots__ = ()
else:
    Expression = recorder.expression_type(Operations)


class Unfinished(Expression):
    """The placeholder that `Expression()` returns, as in DyNet.

    It has no node. Methods that need a node raise an error when they read `type` or look for the graph.
    """

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        if name == "type":
            raise ArgumentTypeError(no_node_message(self))
        return self.__getattribute__(name)  # raises the usual AttributeError again


Unfinished.__name__ = Unfinished.__qualname__ = "Expression"  # error messages show this name
recorder.share_objects(unfinished=Unfinished)
