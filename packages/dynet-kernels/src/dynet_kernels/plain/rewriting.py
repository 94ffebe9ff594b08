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
import linecache
from collections.abc import Callable, Iterable
from types import CodeType
from typing import Any, TypeVar

from ..locks import new_lock
from . import lowering

F = TypeVar("F", bound=Callable[..., Any])
N = TypeVar("N", bound=ast.AST)
_lock = new_lock()


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
    made: dict = {}
    code, scope = function.__code__, function.__globals__
    scope["_lowering"] = lowering
    file = inspect.getsourcefile(function) or "?"
    linecache.getlines(file, scope)  # the source may be in an archive, which the module knows how to read
    with _lock:  # syntax trees are rewritten in place, and in some programs several threads emit code
        emitter = _emitter(file, code, is_entry)
    exec(emitter, scope, made)
    cells = [cell.cell_contents for cell in function.__closure__ or ()]
    return made["_closure"](*cells) if cells else made[code.co_name]


@functools.cache
def _emitter(file: str, code: CodeType, is_entry: bool) -> CodeType:
    definition = _definitions(file).get(code.co_firstlineno)
    if definition is None:
        raise OSError(f"to compile {code.co_name}, its source is needed, but {file} is not there")
    definition.decorator_list = []
    module = ast.Module([_Rewriting(file, is_entry).function(definition)], [])
    if code.co_freevars:  # a closure is defined again inside a function that has the names of the closure as parameters
        names = ", ".join(code.co_freevars)
        outer: Any = ast.parse(f"def _closure({names}):\n return {code.co_name}").body[0]
        outer.body[:0], module.body = module.body, [outer]
    return compile(module, file, "exec")


@functools.cache
def _definitions(file: str) -> dict[int, Any]:
    """Return the syntax trees of a file's functions, by the lines where they begin, decorators included."""
    found: dict[int, Any] = {}
    waiting: list[Any] = [ast.parse("".join(linecache.getlines(file)))]
    for node in waiting:
        inside = [one for one in node.body if isinstance(one, (ast.FunctionDef, ast.ClassDef))]
        found |= {min(one.lineno, *(d.lineno for d in one.decorator_list), one.lineno): one for one in inside}
        waiting += inside
    return found


LOWERED = {"range": "loop", "max": "maximum", "min": "minimum"}
REFUSED = {
    ast.Try: "try", ast.With: "with", ast.Delete: "del", ast.Assert: "assert", ast.Raise: "raise", ast.Match: "match",
    ast.NamedExpr: ":=", ast.Await: "await", ast.Global: "global", ast.ClassDef: "class",
    ast.YieldFrom: "yield from", ast.Is: "is", ast.IsNot: "is not", ast.In: "in", ast.NotIn: "not in",
    ast.Div: "/", ast.Pow: "**", ast.MatMult: "@",
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
        before, self.line = self.line, getattr(node, "lineno", self.line)
        if type(node) in REFUSED:
            self.refuse(node, f"`{REFUSED[type(node)]}`")
        found = super().visit(node)
        self.line = before
        return found

    def new(self, kind: type[N], *fields) -> N:
        """Make a node of the syntax tree on the line of the node that is being visited."""
        made: Any = kind(*fields)
        made.lineno = made.end_lineno = self.line
        made.col_offset = made.end_col_offset = 0
        return made

    def load(self, name: str) -> ast.Name:
        return self.new(ast.Name, name, ast.Load())

    def value(self, name: str, context: ast.expr_context) -> ast.Attribute:
        return self.new(ast.Attribute, self.load(name), "value", context)

    def assign(self, target, value) -> ast.Assign:
        return self.new(ast.Assign, [target], value)

    def call(self, name: str, *arguments) -> ast.Call:
        return self.new(
            ast.Call, self.new(ast.Attribute, self.load("_lowering"), name, ast.Load()), list(arguments), []
        )

    def later(self, expression) -> ast.Lambda:
        return self.new(ast.Lambda, ast.arguments([], [], None, [], [], None, []), self.visit(expression))

    # functions

    def function(self, node):
        """Rewrite a function: its variables are made first, so that every branch and loop of it can set them."""
        self.line = node.lineno
        facts = self.facts = _Facts(node)
        own = {name for name, times in facts.assigned.items() if times > 1} & facts.names
        self.variables, self.ended = (self.variables - facts.names) | own, self.ended - facts.names
        self.has_results = not self.is_entry and facts.values > 1
        node.body = self.block(node.body)
        begin: list[ast.stmt] = []
        for one in [*sorted(own), *["_result"] * self.has_results]:
            given = [self.load(one)] if one in facts.parameters else []
            begin.append(self.assign(self.new(ast.Name, one, ast.Store()), self.call("Variable", *given)))
        if self.has_results:
            node.body.append(self.new(ast.Return, self.value("_result", ast.Load())))
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
            if isinstance(one, ast.If) and not self.is_entry and one in self.facts.returning:
                last = one.body[-1]
                if not isinstance(last, ast.Return) or one.orelse or (last.value and not rest):
                    self.refuse(
                        one, "a `return` that is not at the end of an `if` without `else`, before other statements"
                    )
                one.orelse, rest, statements = rest, [], statements[: place + 1]
            if isinstance(one, ast.Return) and rest:
                self.refuse(rest[0], "statements after `return`")
            found = self.visit(one)
            made += found if isinstance(found, list) else [found]
            if len(statements) == place + 1:
                break
        self.ended |= self.blocks.pop()
        return made or [self.new(ast.Pass)]

    def visit_Return(self, node):
        value = self.visit(node.value) if node.value else None
        if self.is_entry:
            return self.new(ast.Expr, self.call("leave", *[value] * (value is not None)))
        if self.loops:
            self.refuse(node, "`return` in a loop, unless it is a whole compiled function")
        if self.has_results and value:
            return self.assign(self.value("_result", ast.Store()), value)
        return self.new(ast.Return, value) if value else self.new(ast.Pass)

    # names and assignment

    def visit_Name(self, node):
        if isinstance(node.ctx, ast.Load):
            if node.id in self.ended:
                self.refuse(node, f"the name `{node.id}` outside of the block or loop that binds it")
            if node.id in self.variables:
                return self.value(node.id, ast.Load())
        return node

    def visit_Assign(self, node):
        if len(node.targets) > 1:
            self.refuse(node, "two targets in one assignment")
        node.value = self.call("bound", self.visit(node.value))
        node.targets = [self.target(node.targets[0])]
        return node

    def visit_AnnAssign(self, node):
        return self.visit_Assign(self.assign(node.target, node.value)) if node.value else node

    def visit_AugAssign(self, node):
        self.visit(node.op)
        node.target, node.value = self.target(node.target), self.wide(node.value)
        return node

    def target(self, target) -> Any:
        if isinstance(target, ast.Tuple):
            target.elts = [self.target(one) for one in target.elts]
            return target
        if not isinstance(target, ast.Name):
            return self.visit(target)
        if target.id in self.variables:
            return self.value(target.id, ast.Store())
        self.ended.discard(target.id)
        self.blocks[-1].add(target.id)
        return target

    # conditions and operators

    def visit_BoolOp(self, node):
        name, first = "both" if isinstance(node.op, ast.And) else "either", self.visit(node.values.pop(0))
        return self.call(name, first, self.later(node if len(node.values) > 1 else node.values[0]))

    def visit_Compare(self, node):
        if len(node.ops) > 1:
            self.refuse(node, "a chain of comparisons: write `a < b and b < c`")
        self.visit(node.ops[0])
        node.left, node.comparators = self.wide(node.left), [self.wide(node.comparators[0])]
        return node

    def visit_BinOp(self, node):
        self.visit(node.op)
        node.left, node.right = self.wide(node.left), self.wide(node.right)
        return self.call("settled", node) if isinstance(node.op, (ast.FloorDiv, ast.Mod)) else node

    def wide(self, node):
        """An operand of an operator. TVM would cut a large Python int."""
        if isinstance(node, ast.Constant) and isinstance(node.value, int) and node.value < 1 << 31:
            return node
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
        return self.new(ast.For, self.new(ast.Name, "_side", ast.Store()), over, body, [])

    def visit_If(self, node):
        test = node.test
        if node.orelse:
            over = self.call("branch", self.visit(test))
            sides = self.new(ast.If, self.load("_side"), self.block(node.body), self.block(node.orelse))
            return self.turns(over, [sides])
        if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):  # nested conditions
            for one in reversed(test.values[1:]):
                node.body = [self.new(ast.If, one, node.body, [])]
            node.test = test.values[0]
            return self.visit_If(node)
        return self.turns(self.call("when", self.visit(test)), self.block(node.body))

    def visit_For(self, node):
        names = {one.id for one in ast.walk(node.target) if isinstance(one, ast.Name)}
        for name in names & self.variables:
            self.refuse(node, f"the name `{name}` both for a loop and for a variable")
        over = node.iter
        is_range = isinstance(over, ast.Call) and isinstance(over.func, ast.Name) and over.func.id == "range"
        node.iter = self.visit(over)
        self.ended -= names
        node.body = self.loop(node, is_range)
        self.ended |= names
        return node

    def visit_While(self, node):
        test = node.test
        tests = test.values if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And) else [test]
        stops = [self.new(ast.Expr, self.call("stop_unless", self.visit(one))) for one in tests]
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
        return self.new(ast.Expr, self.call(name))

    def visit_Continue(self, node):
        return self.visit_Break(node, "next_turn")


class _Facts:
    """What a function's statements say, found in one walk.

    `names` are its local names, `parameters` those of its arguments. `assigned` counts how often each name is assigned,
    also by functions inside. `values` is how many `return`s have one, `returning` the `if`s with a `return` inside.
    """

    def __init__(self, definition: ast.FunctionDef):
        self.parameters = {one.arg for one in definition.args.args}
        self.names, self.assigned, self.shared = set(self.parameters), dict.fromkeys(self.parameters, 1), set()
        self.values, self.returning = 0, set()
        for one in definition.body:
            self.walk(one, True)
        self.names -= self.shared

    def walk(self, node: ast.AST, is_own: bool) -> bool:
        """Note what is in a node, of the function's own or of a function inside. Return whether it has a `return`."""
        returns, is_own = isinstance(node, ast.Return), is_own and not isinstance(node, (ast.FunctionDef, ast.Lambda))
        if isinstance(node, (ast.Assign, ast.AugAssign)):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target] * 2:
                for one in target.elts if isinstance(target, ast.Tuple) else [target]:
                    if isinstance(one, ast.Name):
                        self.assigned[one.id] = self.assigned.get(one.id, 0) + 1
        if is_own and isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            self.names.add(node.id)
        elif is_own and isinstance(node, ast.Nonlocal):
            self.shared.update(node.names)
        self.values += is_own and isinstance(node, ast.Return) and node.value is not None
        for part in vars(node).values():
            for one in part if isinstance(part, list) else [part]:
                if isinstance(one, ast.AST):
                    returns |= self.walk(one, is_own)
        if returns and isinstance(node, ast.If):
            self.returning.add(node)
        return returns and not isinstance(node, ast.FunctionDef)
