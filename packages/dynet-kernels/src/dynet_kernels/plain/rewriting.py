"""Functions in plain Python that run in two ways: as they are, and compiled. `@plain` makes such a function.

Called while TIR is being emitted, a plain function emits code that does what its source says. Called at any other time,
it is the ordinary Python function that it looks like, on ordinary integers: a debugger steps through it, and a unit
test needs no TVM. For the first way, its syntax tree is rewritten once, when it is first called: what Python decides
when it runs (`if`, `for`, `while`, `and`, assignment) becomes calls of `lowering`. Lines keep their numbers.

docs/internals.md describes the subset of Python. What is outside of it is refused by a SyntaxError with file and line.
"""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from . import lowering

F = TypeVar("F", bound=Callable[..., Any])


def plain(function: F) -> F:
    """Make a plain function."""
    emitter = functools.cache(lambda: rewritten(function))

    @functools.wraps(function)
    def either(*arguments, **named):
        return (emitter() if lowering.is_emitting() else function)(*arguments, **named)

    return either  # type: ignore


def entry(function: F) -> F:
    """Make a plain function that is a whole compiled function: it may `return` anywhere, also in loops.

    One entry may call another only by `return other(...)`. Without a value, `return` means that there is no result.
    """
    emitter = functools.cache(lambda: rewritten(function, is_entry=True))

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


def rewritten(function: Callable, is_entry: bool = False) -> Callable:
    """Return the emitter of a plain function, or of an entry."""
    lines_before = "\n" * (function.__code__.co_firstlineno - 1)  # so that each line keeps its number
    definition: Any = ast.parse(lines_before + textwrap.dedent(inspect.getsource(function))).body[0]
    definition.decorator_list.clear()
    file = inspect.getsourcefile(function) or "?"
    module, made = ast.Module([_Rewriting(file, is_entry).function(definition)], []), {}
    names, cells = function.__code__.co_freevars, function.__closure__ or ()
    if names:  # a closure is defined again inside a function that has the names of the closure as its parameters
        outer: Any = ast.parse(f"def _closure({', '.join(names)}):\n return {definition.name}").body[0]
        outer.body[:0], module.body = module.body, [outer]
    function.__globals__["_lowering"] = lowering
    exec(compile(ast.fix_missing_locations(module), file, "exec"), function.__globals__, made)
    return made["_closure"](*[cell.cell_contents for cell in cells]) if names else made[definition.name]


LOWERED = {"range": "loop", "max": "maximum", "min": "minimum"}
REFUSED = {
    ast.Try: "try", ast.With: "with", ast.Delete: "del", ast.Assert: "assert", ast.Raise: "raise", ast.Match: "match",
    ast.NamedExpr: ":=", ast.Await: "await", ast.Global: "global", ast.ClassDef: "class",
    ast.YieldFrom: "yield from", ast.Is: "is", ast.IsNot: "is not", ast.In: "in", ast.NotIn: "not in",
}  # fmt: skip


class _Rewriting(ast.NodeTransformer):
    """Rewrites one function.

    Args:
        variables: the names of functions around this one that are variables of the emitted code.
        ended: the names that belong to blocks or loops which are over.
    """

    def __init__(self, file: str, is_entry: bool, variables: Iterable[str] = (), ended: Iterable[str] = ()):
        self.file, self.is_entry = file, is_entry
        self.variables, self.ended = set(variables), set(ended)
        self.loops: list[bool] = []  # of each loop around the statement: whether the emitted code has it as one loop
        self.blocks: list[set[str]] = []  # the names that each block around the statement has bound
        self.line, self.has_results = 0, False

    def refuse(self, node, text: str):
        line, column = getattr(node, "lineno", self.line), getattr(node, "col_offset", 0) + 1
        raise SyntaxError(f"a plain function cannot have {text}", (self.file, line, column, None))

    def visit(self, node) -> Any:
        self.line = getattr(node, "lineno", self.line)
        if type(node) in REFUSED:
            self.refuse(node, f"`{REFUSED[type(node)]}`")
        found = super().visit(node)
        if isinstance(found, (ast.stmt, ast.expr)) and not hasattr(found, "lineno"):
            ast.copy_location(found, node)  # what is inside gets its line from `fix_missing_locations`
        return found

    def call(self, name: str, *arguments):
        return ast.Call(ast.Attribute(ast.Name("_lowering", ast.Load()), name, ast.Load()), list(arguments), [])

    def later(self, expression):
        return ast.Lambda(ast.arguments([], [], None, [], [], None, []), self.visit(expression))

    # functions

    def function(self, node):
        """Rewrite a function: its variables are made first, so that every branch and loop of it can set them."""
        inside = [*_statements(node)]
        names = _bound(node, inside)
        own = _assigned_often(node) & names
        self.variables, self.ended = (self.variables - names) | own, self.ended - names
        values = [one for one in inside if isinstance(one, ast.Return) and one.value]
        self.has_results = not self.is_entry and len(values) > 1
        node.body = self.block(node.body)
        parameters = {one.arg for one in node.args.args}
        begin: list[ast.stmt] = []
        for one in [*sorted(own), *["_result"] * self.has_results]:
            given = [ast.Name(one, ast.Load())] if one in parameters else []
            begin.append(ast.Assign([ast.Name(one, ast.Store())], self.call("Variable", *given)))
        if self.has_results:
            node.body.append(ast.Return(_value("_result", ast.Load())))
        has_text = isinstance(node.body[0], ast.Expr) and isinstance(node.body[0].value, ast.Constant)
        node.body[has_text:has_text] = begin
        return node

    def visit_FunctionDef(self, node):
        return _Rewriting(self.file, False, self.variables, self.ended).function(node)

    def visit_Nonlocal(self, node):
        return []

    def block(self, statements):
        """Rewrite statements. If one is an `if` that ends in `return`, what follows it becomes its `else`."""
        made: list = []
        self.blocks.append(set())
        for place, one in enumerate(statements):
            rest = statements[place + 1 :]
            if isinstance(one, ast.If) and not self.is_entry and _returns(one) and (rest or one.orelse):
                if not isinstance(one.body[-1], ast.Return) or one.orelse:
                    self.refuse(one, "a `return` that is not at the end of an `if` without `else`")
                one, rest = ast.copy_location(ast.If(one.test, one.body, rest), one), []
                statements = statements[: place + 1]
            if isinstance(one, ast.Return) and rest:
                self.refuse(rest[0], "statements after `return`")
            found = self.visit(one)
            made += found if isinstance(found, list) else [found]
            if len(statements) == place + 1:
                break
        self.ended |= self.blocks.pop()
        return made or [ast.Pass()]

    def visit_Return(self, node):
        value = self.visit(node.value) if node.value else None
        if self.is_entry:
            return ast.Expr(self.call("leave", *[value] * (value is not None)))
        if self.loops:
            self.refuse(node, "`return` in a loop, unless it is a whole compiled function")
        if self.has_results and value:
            return ast.Assign([_value("_result", ast.Store())], value)
        return ast.Return(value) if value else ast.Pass()

    # names and assignment

    def visit_Name(self, node):
        if isinstance(node.ctx, ast.Load):
            if node.id in self.ended:
                self.refuse(node, f"the name `{node.id}` outside of the block or loop that binds it")
            if node.id in self.variables:
                return _value(node.id, ast.Load())
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
        if isinstance(target, ast.Tuple):
            return ast.Tuple([self.target(one) for one in target.elts], ast.Store())
        if not isinstance(target, ast.Name):
            return self.visit(target)
        if target.id in self.variables:
            return _value(target.id, ast.Store())
        self.ended.discard(target.id)
        self.blocks[-1].add(target.id)
        return target

    # conditions and operators

    def visit_BoolOp(self, node):
        name, (first, *rest) = "both" if isinstance(node.op, ast.And) else "either", node.values
        if len(rest) > 1:
            rest = [ast.copy_location(ast.BoolOp(node.op, rest), rest[0])]
        return self.call(name, self.visit(first), self.later(rest[0]))

    def visit_Compare(self, node):
        if len(node.ops) > 1:
            self.refuse(node, "a chain of comparisons: write `a < b and b < c`")
        self.visit(node.ops[0])
        return ast.Compare(self.wide(node.left), node.ops, [self.wide(node.comparators[0])])

    def visit_BinOp(self, node):
        made = ast.BinOp(self.wide(node.left), node.op, self.wide(node.right))
        return self.call("settled", made) if isinstance(node.op, (ast.FloorDiv, ast.Mod)) else made

    def wide(self, node):
        return self.call("wide", self.visit(node))

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

    def turns(self, over, body):
        """A Python loop around emitted code: it has one turn for each side that the code has, or none."""
        return ast.For(ast.Name("_side", ast.Store()), over, body, [])

    def visit_If(self, node):
        test = node.test
        if node.orelse:
            sides = ast.If(ast.Name("_side", ast.Load()), self.block(node.body), self.block(node.orelse))
            return self.turns(self.call("branch", self.visit(test)), [sides])
        if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):  # nested conditions
            for one in reversed(test.values[1:]):
                node.body = [ast.copy_location(ast.If(one, node.body, []), node)]
            return self.visit(ast.copy_location(ast.If(test.values[0], node.body, []), node))
        return self.turns(self.call("when", self.visit(test)), self.block(node.body))

    def visit_For(self, node):
        names = {one.id for one in ast.walk(node.target) if isinstance(one, ast.Name)}
        for name in names & self.variables:
            self.refuse(node, f"the name `{name}` both for a loop and for a variable")
        over, iterated = node.iter, self.visit(node.iter)
        self.ended -= names
        is_range = isinstance(over, ast.Call) and isinstance(over.func, ast.Name) and over.func.id == "range"
        body = self.loop(node, is_range)
        self.ended |= names
        return ast.For(node.target, iterated, body, [])

    def visit_While(self, node):
        test = node.test
        tests = test.values if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And) else [test]
        stops = [ast.Expr(self.call("stop_unless", self.visit(one))) for one in tests]
        return self.turns(self.call("forever"), [*stops, *self.loop(node, True)])

    def loop(self, node, is_one: bool):
        if node.orelse:
            self.refuse(node, "`else` of a loop")
        self.loops.append(is_one)
        body = self.block(node.body)
        self.loops.pop()
        return body

    def visit_Break(self, node, name: str = "stop"):
        if not self.loops[-1]:
            self.refuse(node, "`break` or `continue` in a loop that is neither over `range` nor `while`")
        return ast.Expr(self.call(name))

    def visit_Continue(self, node):
        return self.visit_Break(node, "next_turn")


def _value(name: str, context) -> ast.Attribute:
    return ast.Attribute(ast.Name(name, ast.Load()), "value", context)


def _statements(definition) -> Iterator[ast.AST]:
    """Yield the nodes of a function without those of functions inside it."""
    waiting = list(ast.iter_child_nodes(definition))
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.Lambda)):
            waiting += ast.iter_child_nodes(node)


def _returns(node) -> bool:
    return any(isinstance(one, ast.Return) for one in [node, *_statements(node)])


def _bound(definition, inside) -> set[str]:
    """Return the local names of a function. `inside` are its nodes without those of functions inside it."""
    names = {one.id for one in inside if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)}
    shared = {name for one in inside if isinstance(one, ast.Nonlocal) for name in one.names}
    return (names | {one.arg for one in definition.args.args}) - shared


def _assigned_often(definition) -> set[str]:
    """Return the names that are assigned more than once, here or by functions inside."""
    count = dict.fromkeys([one.arg for one in definition.args.args], 1)
    for node in ast.walk(definition):
        targets = node.targets if isinstance(node, ast.Assign) else []
        for target in [node.target] * 2 if isinstance(node, ast.AugAssign) else targets:
            for one in target.elts if isinstance(target, ast.Tuple) else [target]:
                if isinstance(one, ast.Name):
                    count[one.id] = count.get(one.id, 0) + 1
    return {name for name, times in count.items() if times > 1}
