"""Functions in plain Python that run in two ways: as they are, and compiled. `@plain` makes such a function.

Called while TIR is being emitted, a plain function emits code that does what its source says. Called at any other time,
it is the ordinary Python function that it looks like, on ordinary integers: a debugger steps through it, and a unit
test needs no TVM. For the first way, its syntax tree is rewritten once, when it is first called: what Python decides
when it runs (`if`, `for`, `while`, `and`, assignment) becomes calls of `lowering`. Lines keep their numbers.

The subset of Python is described in the guide. What is outside of it is refused by a SyntaxError with file and line.
"""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
from collections.abc import Callable
from typing import Any, TypeVar

from . import lowering

F = TypeVar("F", bound=Callable[..., Any])


def plain(function: F) -> F:
    """Make a plain function. Its attribute `python` is the function itself, `emit` the emitter."""

    @functools.cache
    def emitter() -> Callable:
        return rewritten(function)

    @functools.wraps(function)
    def either(*arguments, **named):
        return (emitter() if lowering.is_emitting() else function)(*arguments, **named)

    either.python, either.emit = function, lambda *arguments, **named: emitter()(*arguments, **named)  # type: ignore
    return either  # type: ignore


def entry(function: F) -> F:
    """Make a plain function that is a whole compiled function: it may `return` anywhere, also in loops.

    One entry may call another only by `return other(...)`. Without a value, `return` means that there is no result.
    """

    @functools.cache
    def emitter() -> Callable:
        return rewritten(function, entry=True)

    @functools.wraps(function)
    def either(*arguments, **named):
        if lowering.is_emitting():
            emitter()(*arguments, **named)
            lowering.leave()
            return lowering.LEFT
        try:
            return function(*arguments, **named)
        except lowering.Left as left:
            return left.value

    return either  # type: ignore


def rewritten(function: Callable, entry: bool = False) -> Callable:
    """Return the emitter of a plain function.

    Args:
        entry: whether it is a whole compiled function: see `entry`.
    """
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    ast.increment_lineno(tree, function.__code__.co_firstlineno - 1)
    definition: Any = tree.body[0]
    definition.decorator_list.clear()
    file = inspect.getsourcefile(function) or "?"
    free = function.__code__.co_freevars
    _Rewrite(file, entry).function(definition)
    outer: Any = definition
    if free:  # a closure: define it again inside a function that has the names as its parameters
        outer = ast.parse(f"def _closure({', '.join(free)}):\n return {definition.name}").body[0]
        outer.body.insert(0, definition)
    module = ast.fix_missing_locations(ast.Module([outer], []))
    scope = function.__globals__
    scope["_lowering"] = lowering
    made: dict = {}
    exec(compile(module, file, "exec"), scope, made)
    if not free:
        return made[definition.name]
    return made["_closure"](*[cell.cell_contents for cell in function.__closure__ or ()])


LOWERED = {"range": "loop", "max": "maximum", "min": "minimum"}
REFUSED = {
    ast.Try: "try", ast.With: "with", ast.Delete: "del", ast.Assert: "assert", ast.Raise: "raise", ast.Match: "match",
    ast.NamedExpr: ":=", ast.Await: "await", ast.Global: "global", ast.ClassDef: "class",
    ast.YieldFrom: "yield from", ast.Is: "is", ast.IsNot: "is not", ast.In: "in", ast.NotIn: "not in",
}  # fmt: skip


OPERATIONS = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.FloorDiv: "floordiv", ast.Mod: "mod", ast.LShift: "lshift",
    ast.RShift: "rshift", ast.BitAnd: "and_", ast.BitOr: "or_", ast.BitXor: "xor", ast.Eq: "eq", ast.NotEq: "ne",
    ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge",
}  # fmt: skip
"""The names in the module `operator` of the operators that a plain function may have."""


class _Rewrite(ast.NodeTransformer):
    def __init__(self, file: str, entry: bool):
        self.file, self.entry = file, entry
        self.variables: set[str] = set()  # names that are assigned more than once: variables of the emitted code
        self.loops: list[bool] = []  # of each loop around the statement: whether the emitted code has it as one loop
        self.ended: set[str] = set()  # names of loops that are over
        self.result: str | None = None

    def refuse(self, node, text: str):
        raise SyntaxError(f"a plain function cannot have {text}", (self.file, node.lineno, node.col_offset + 1, None))

    def visit(self, node) -> Any:
        if type(node) in REFUSED:
            self.refuse(node, f"`{REFUSED[type(node)]}`")
        found = super().visit(node)
        for one in found if isinstance(found, list) else [found]:
            if isinstance(one, (ast.stmt, ast.expr)) and hasattr(node, "lineno"):
                for inner in ast.walk(one):
                    if isinstance(inner, (ast.stmt, ast.expr, ast.arg)) and not hasattr(inner, "lineno"):
                        ast.copy_location(inner, node)
        return found

    def call(self, name: str, *arguments):
        return ast.Call(ast.Attribute(ast.Name("_lowering", ast.Load()), name, ast.Load()), list(arguments), [])

    def later(self, expression):
        return ast.Lambda(ast.arguments([], [], None, [], [], None, []), self.visit(expression))

    # functions

    def function(self, node):
        """Rewrite a function: its variables are made first, so that every branch and loop of it can set them."""
        outer = self.variables, self.loops, self.ended, self.result
        own, names = _assigned_often(node), _bound(node)
        self.variables, self.loops, self.ended, self.result = (
            (self.variables - names) | own,
            [],
            self.ended - names,
            None,
        )
        parameters = {one.arg for one in node.args.args} & own
        returns = [one for one in _statements(node) if isinstance(one, ast.Return) and one.value]
        if not self.entry and len(returns) > 1:
            self.result = "_result"
        node.body = self.block(node.body)
        begin: list[ast.stmt] = []
        for one in sorted(own):
            given = [ast.Name(one, ast.Load())] if one in parameters else []
            begin.append(ast.Assign([ast.Name(one, ast.Store())], self.call("Variable", *given)))
        if self.result:
            begin.append(ast.Assign([ast.Name("_result", ast.Store())], self.call("Variable")))
            node.body.append(ast.Return(ast.Attribute(ast.Name("_result", ast.Load()), "value", ast.Load())))
        has_text = isinstance(node.body[0], ast.Expr) and isinstance(node.body[0].value, ast.Constant)
        node.body[has_text:has_text] = begin
        self.variables, self.loops, self.ended, self.result = outer
        return node

    def visit_FunctionDef(self, node):
        entry, self.entry = self.entry, False
        made = self.function(node)
        self.entry = entry
        return made

    def visit_Nonlocal(self, node):
        return []

    def block(self, statements):
        """Rewrite statements. If one is an `if` that ends in `return`, what follows it becomes its `else`."""
        made = []
        for place, one in enumerate(statements):
            rest = statements[place + 1 :]
            if isinstance(one, ast.If) and not self.entry and _returns(one) and (rest or one.orelse):
                if not isinstance(one.body[-1], ast.Return) or one.orelse:
                    self.refuse(one, "a `return` that is not at the end of an `if` without `else`")
                joined = ast.copy_location(ast.If(one.test, one.body, rest), one)
                return made + _listed(self.visit(joined))
            if isinstance(one, ast.Return) and rest:
                self.refuse(rest[0], "statements after `return`")
            made += _listed(self.visit(one))
        return made or [ast.Pass()]

    def visit_Return(self, node):
        value = self.visit(node.value) if node.value else None
        if self.entry:
            return ast.Expr(self.call("leave", *[value] * (value is not None)))
        if self.loops:
            self.refuse(node, "`return` in a loop, unless it is a whole compiled function")
        if self.result and value:
            return ast.Assign([ast.Attribute(ast.Name("_result", ast.Load()), "value", ast.Store())], value)
        return ast.Return(value) if value else ast.Pass()

    # names and assignment

    def visit_Name(self, node):
        if isinstance(node.ctx, ast.Load):
            if node.id in self.ended:
                self.refuse(node, f"the name `{node.id}` of a loop after the loop")
            if node.id in self.variables:
                return ast.Attribute(node, "value", ast.Load())
        return node

    def visit_Assign(self, node):
        if len(node.targets) > 1:
            self.refuse(node, "two targets in one assignment")
        value = self.call("bound", self.visit(node.value))
        return ast.Assign([self.target(node.targets[0])], value)

    def visit_AnnAssign(self, node):
        return self.visit_Assign(ast.Assign([node.target], node.value)) if node.value else node

    def visit_AugAssign(self, node):
        return ast.AugAssign(self.target(node.target), node.op, self.call("wide", self.visit(node.value)))

    def target(self, target) -> Any:
        if isinstance(target, ast.Name):
            self.ended.discard(target.id)
        if isinstance(target, ast.Name) and target.id in self.variables:
            return ast.Attribute(ast.Name(target.id, ast.Load()), "value", ast.Store())
        if isinstance(target, ast.Tuple):
            return ast.Tuple([self.target(one) for one in target.elts], ast.Store())
        return target if isinstance(target, ast.Name) else self.visit(target)

    # conditions

    def visit_BoolOp(self, node):
        name, (first, *rest) = "both" if isinstance(node.op, ast.And) else "either", node.values
        if len(rest) > 1:
            rest = [ast.copy_location(ast.BoolOp(node.op, rest), rest[0])]
        return self.call(name, self.visit(first), self.later(rest[0]))

    def visit_Compare(self, node):
        for operation in node.ops:
            if type(operation) in REFUSED:
                self.refuse(node, f"`{REFUSED[type(operation)]}`")
        if len(node.ops) > 1:
            self.refuse(node, "a chain of comparisons: write `a < b and b < c`")
        return self.operation(node.ops[0], node.left, node.comparators[0])

    def visit_BinOp(self, node):
        return self.operation(node.op, node.left, node.right)

    def operation(self, kind, left, right):
        name = ast.Constant(OPERATIONS[type(kind)])
        return self.call("operate", name, self.visit(left), self.visit(right))

    def visit_UnaryOp(self, node):
        if isinstance(node.op, ast.Not):
            return self.call("negation", self.visit(node.operand))
        return self.generic_visit(node)

    def visit_IfExp(self, node):
        return self.call("pick", self.visit(node.test), self.later(node.body), self.later(node.orelse))

    def visit_Call(self, node):
        if isinstance(node.func, ast.Name) and node.func.id in LOWERED:
            return self.call(LOWERED[node.func.id], *map(self.visit, node.args))
        return self.generic_visit(node)

    # statements

    def turn(self, over, body):
        """A Python loop around emitted code: it has one turn, or none where the code is known to be left out."""
        return ast.For(ast.Name("_", ast.Store()), over, body, [])

    def visit_If(self, node):
        test = node.test
        if not node.orelse and isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
            *others, last = test.values  # nested conditions
            inner = ast.copy_location(ast.If(last, node.body, []), node)
            for one in reversed(others):
                inner = ast.copy_location(ast.If(one, [inner], []), node)
            return self.visit(inner)
        if not node.orelse:
            return self.turn(self.call("when", self.visit(test)), self.block(node.body))
        known = f"_branch_{node.lineno}_{node.col_offset}"
        sides = [
            self.turn(ast.Call(ast.Attribute(ast.Name(known, ast.Load()), name, ast.Load()), [], []), body)
            for name, body in (("then", self.block(node.body)), ("otherwise", self.block(node.orelse)))
        ]
        branch = ast.withitem(self.call("branch", self.visit(test)), ast.Name(known, ast.Store()))
        return ast.With([branch], list(sides))

    def visit_For(self, node):
        if node.orelse:
            self.refuse(node, "`else` of a loop")
        names = {one.id for one in ast.walk(node.target) if isinstance(one, ast.Name)}
        for name in names & self.variables:
            self.refuse(node, f"the name `{name}` both for a loop and for a variable")
        over, iterated = node.iter, self.visit(node.iter)
        is_range = isinstance(over, ast.Call) and isinstance(over.func, ast.Name) and over.func.id == "range"
        self.loops.append(is_range)
        self.ended -= names
        body = self.block(node.body)
        self.ended |= names
        self.loops.pop()
        return ast.For(node.target, iterated, body, [])

    def visit_While(self, node):
        if node.orelse:
            self.refuse(node, "`else` of a loop")
        test = node.test
        tests = test.values if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And) else [test]
        self.loops.append(True)
        stops = [ast.Expr(self.call("stop_unless", self.visit(one))) for one in tests]
        body = [*stops, *self.block(node.body)]
        self.loops.pop()
        return self.turn(self.call("forever"), body)

    def visit_Break(self, node):
        return self.jump(node, "stop")

    def visit_Continue(self, node):
        return self.jump(node, "next_turn")

    def jump(self, node, name):
        if not self.loops[-1]:
            self.refuse(node, "`break` or `continue` in a loop that is neither over `range` nor `while`")
        return ast.Expr(self.call(name))


def _listed(found) -> list:
    return found if isinstance(found, list) else [found]


def _statements(definition):
    """Yield the nodes of a function without those of functions inside it."""
    waiting = list(ast.iter_child_nodes(definition))
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.Lambda)):
            waiting += ast.iter_child_nodes(node)


def _returns(node) -> bool:
    return any(isinstance(one, ast.Return) for one in [node, *_statements(node)])


def _bound(definition) -> set[str]:
    """Return the local names of a function."""
    names = {one.arg for one in definition.args.args}
    for node in _statements(definition):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names - _not_local(definition)


def _not_local(definition) -> set[str]:
    return {name for node in _statements(definition) if isinstance(node, ast.Nonlocal) for name in node.names}


def _assigned_often(definition) -> set[str]:
    """Return the local names that are assigned more than once, here or by functions inside."""
    count = dict.fromkeys([one.arg for one in definition.args.args], 1)
    for node in ast.walk(definition):
        targets = node.targets if isinstance(node, ast.Assign) else []
        for target in [node.target] * 2 if isinstance(node, ast.AugAssign) else targets:
            for one in target.elts if isinstance(target, ast.Tuple) else [target]:
                if isinstance(one, ast.Name):
                    count[one.id] = count.get(one.id, 0) + 1
    return {name for name, times in count.items() if times > 1} & _bound(definition)
