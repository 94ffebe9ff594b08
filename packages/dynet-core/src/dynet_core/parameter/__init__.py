"""Parameters, lookup parameters, the collections that own them, and the functions that save and load them."""

from __future__ import annotations

from typing import Any, TypeVar, overload

from ..checks import checked_flag
from ..errors import ArgumentTypeError
from ..graph.expression import Expression
from ..graph.record import PARAMETER_TYPES, one_operand
from ..recorder import share_objects
from ..signature import alias_apart
from ..signature import copy_step as copy_step
from .base import Constant, Parameters, Trained
from .collection import Model, ParameterCollection
from .lookup import LookupParameters

AnyExpression = TypeVar("AnyExpression", bound=Expression)

share_objects(parameters=Parameters, constant=Constant, lookup=LookupParameters)
PARAMETER_TYPES.extend((Trained, Constant))

__all__ = ["LookupParameters", "Model", "ParameterCollection", "Parameters", "const_parameter", "parameter"]


@overload
def parameter(p: Expression, update: bool = True) -> Expression: ...
@overload
def parameter(p: list[AnyExpression], update: bool = True) -> list[Expression]: ...
@overload
def parameter(p: tuple[Expression, ...], update: bool = True) -> tuple[Expression, ...]: ...
@overload
def parameter(p: Expression, update: Expression, *more: Expression) -> tuple[Expression, ...]: ...
def parameter(p: Expression | list[Any] | tuple[Any, ...], update: Any = True, *more: Expression) -> Any:
    """Return a parameter or a whole lookup table as an expression. With update=False, it gets no gradient.

    Parameters are already expressions, so this function is needed only for update=False. `parameter(W, b)` and
    `parameter((W, b))` return a tuple, as in DyNet 2.1; `parameter([W, b])` returns a list. If update is True, an
    expression that is not a parameter is returned unchanged.

    >>> W = dy.Model().parameters_from_numpy([1, 2])
    >>> dy.parameter(W).value()
    [1.0, 2.0]
    >>> [x.value() for x in dy.parameter([W, W])]
    [[1.0, 2.0], [1.0, 2.0]]
    """
    if update is True and not more and isinstance(p, Trained):  # tested first, because it is the usual call
        return p
    if more or isinstance(update, (Expression, list, tuple)):
        return tuple([_as_expressions(argument) for argument in (p, update, *more)])
    return _as_expressions(p, checked_flag("parameter", "update", update))


def _as_expressions(p: Any, update: bool = True) -> Any:
    if isinstance(p, list | tuple):
        expressions = [_as_expressions(item, update) for item in p]
        return expressions if isinstance(p, list) else tuple(expressions)
    return p if update and isinstance(p, Expression) else _as_constant("parameter", p)


@overload
def const_parameter(p: Expression) -> Expression: ...
@overload
def const_parameter(p: Expression, second: Expression, /, *more: Expression) -> list[Expression]: ...
def const_parameter(p: Expression, *more: Expression) -> Any:
    """Return a parameter, a whole lookup table or another expression as an expression without a gradient.

    If there are several arguments, return a list with one expression for each.

    >>> W = dy.Model().parameters_from_numpy([1, 2])
    >>> dy.const_parameter(W).value()
    [1.0, 2.0]
    """
    expressions = [_as_constant("const_parameter", argument) for argument in (p, *more)]
    return expressions if more else expressions[0]


def _as_constant(caller: str, p: Any) -> Expression:
    if isinstance(p, Trained):
        return p.expr(False)
    if not isinstance(p, Expression):
        got = type(p).__name__
        raise ArgumentTypeError(f"{caller}: expected Parameters, LookupParameters or an expression, got {got}")
    return p if isinstance(p, Constant) else _without_gradient(p)


_without_gradient = one_operand("const_parameter", alias_apart)
