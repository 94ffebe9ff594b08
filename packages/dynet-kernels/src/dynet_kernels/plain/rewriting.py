"""`@plain` makes functions that run in two ways: compiled, and as Python.

Called while TIR is being emitted, such a function emits code that does what its source says. Called at any other time,
it is the ordinary Python function: a debugger steps through it, and unit tests need no TVM. For emitting, its syntax
tree is rewritten once, at the first call: `if`, `for`, `while`, `and` and assignment become calls of `lowering`. Lines
keep their numbers. What is outside of the subset is refused by a SyntaxError with file and line.
"""

from __future__ import annotations

import ast
import functools
import inspect
import linecache
from collections import Counter
from collections.abc import Callable, Iterable
from types import CodeType, FunctionType
from typing import Any, TypeVar

from . import lowering

F = TypeVar("F", bound=Callable[..., Any])
N = TypeVar("N", bound=ast.AST)


def plain(function: F) -> F:
    return _either(function, function, False)


def entry(function: F) -> F:
    """Make a plain function that is a whole compiled function: it may `return` anywhere, also in loops.

    `return` without a value means that there is no result. An entry may call another only by `return other(...)`.
    """

    def python(*arguments, **named):
        try:
            return function(*arguments, **named)
        except lowering.Left as left:
            return left.value

    return _either(function, python, True)


def _either(function: Callable, python: Callable, is_entry: bool) -> Any:
    emitter = functools.cache(lambda: rewritten(function, is_entry))

    @functools.wraps(function)
    def either(*arguments, **named):
        return (emitter() if lowering.is_emitting() else python)(*arguments, **named)

    return either


def rewritten(function: Callable, is_entry: bool = False) -> Callable:
    code, scope = function.__code__, function.__globals__
    made: Any = {}
    scope["_lowering"] = lowering
    file = inspect.getsourcefile(function) or "?"
    linecache.getlines(file, scope)  # the source may be in an archive, which the module knows how to read
    exec(_emitter(file, code, is_entry), scope, made)
    made = made["_closure"](*code.co_freevars) if code.co_freevars else made[code.co_name]
    cells = dict(zip(code.co_freevars, function.__closure__ or ()))
    closure = tuple(cells[name] for name in made.__code__.co_freevars)
    emitter = FunctionType(made.__code__, scope, code.co_name, function.__defaults__, closure)
    emitter.__kwdefaults__ = function.__kwdefaults__
    return emitter


@functools.cache
def _emitter(file: str, code: CodeType, is_entry: bool) -> CodeType:
    lines = inspect.getblock(linecache.getlines(file)[code.co_firstlineno - 1 :])
    if not lines or code.co_name == "<lambda>":
        raise OSError(f"to compile {code.co_name}, the lines of its `def` are needed, but they are not in {file}")
    around = "if 1:" if lines[0][0].isspace() else ""
    module = ast.parse("\n" * (code.co_firstlineno - 2) + "\n".join([around, "".join(lines)]))
    definition = next(node for node in ast.walk(module) if isinstance(node, ast.FunctionDef))
    definition.decorator_list = definition.args.defaults = []
    definition.args.kw_defaults = [None] * len(definition.args.kwonlyargs)
    module.body = [_Rewriting(file, is_entry).function(definition)]
    if code.co_freevars:  # a closure is defined again inside a function that has the names of the closure as parameters
        names = ", ".join(code.co_freevars)
        outer: Any = ast.parse(f"def _closure({names}):\n return {code.co_name}").body[0]
        outer.body[:0], module.body = module.body, [outer]
    return compile(module, file, "exec")


TIMES = {ast.For: 0, ast.Assign: 1, ast.AugAssign: 2}  # how often they assign their names
LOWERED = {"max": "maximum", "min": "minimum"}
KINDS = """
    arguments arg Nonlocal Pass Yield Constant Attribute Subscript Load Store Tuple List Dict ListComp Starred keyword
    JoinedStr FormattedValue And Or Not Add Sub Mult FloorDiv Mod LShift RShift BitAnd BitOr BitXor Invert USub Eq NotEq
    Lt LtE Gt GtE
""".split()  # what a function may have; besides, what is rewritten
TEXTS = {"Is": "is", "IsNot": "is not", "In": "in", "NotIn": "not in", "Div": "/", "Pow": "**", "NamedExpr": ":="}


class _Rewriting(ast.NodeTransformer):
    """Rewrites one function.

    `variables` are the names in functions around it that are variables of the emitted code. `ended` are names that
    belong to blocks or loops which are over, so they may not be used.
    """

    def __init__(self, file: str, is_entry: bool, variables: Iterable[str] = (), ended: Iterable[str] = ()):
        self.file, self.is_entry = file, is_entry
        self.variables, self.ended = set(variables), set(ended)
        self.loops: list[bool] = []  # of each loop around the statement: whether the emitted code has it as one loop
        self.blocks: list[set[str]] = []  # the names that each block around the statement has bound
        self.may_return = True  # whether the function ends where the statement or block does
        self.line, self.has_results, self.falls = 0, False, None  # `falls`: a statement that ends it without a result

    def refuse(self, node, text: str):
        line, column = getattr(node, "lineno", self.line), getattr(node, "col_offset", 0) + 1
        raise SyntaxError(f"a plain function cannot have {text}", (self.file, line, column, None))

    def visit(self, node) -> Any:
        before, self.line = self.line, getattr(node, "lineno", self.line)
        kind = type(node).__name__
        if kind not in KINDS and not hasattr(self, f"visit_{kind}"):
            self.refuse(node, f"`{TEXTS.get(kind, kind.lower())}`")
        for name in (getattr(node, field, None) or "" for field in ("id", "attr", "arg", "name")):
            if name.startswith("__") or name in (*LOWERED, "range"):
                self.refuse(node, f"the name `{name}`, except `for k in range(...)`, `max(...)` and `min(...)`")
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

    def call(self, name: str, *arguments) -> ast.Call:
        function = self.new(ast.Attribute, self.load("_lowering"), name, ast.Load())
        return self.new(ast.Call, function, list(arguments), [])

    def later(self, expression) -> ast.Lambda:
        return self.new(ast.Lambda, ast.arguments([], [], None, [], [], None, []), expression)

    # functions

    def function(self, node):
        """Rewrite a function: its variables are made first, so that every branch and loop of it can set them."""
        self.line, node.args = node.lineno, self.visit(node.args)
        times, around = _assignments(node)
        own, names = {name for name in times if times[name] > 1} - around, times.keys() - around
        self.variables, self.ended = self.variables - names | own, self.ended - names
        self.taken = self.variables | {name for name in times if times[name]}
        body, parameters = self.block(node.body), _parameters(node)
        if self.has_results and self.falls:
            self.refuse(self.falls, "an end without a result, if another end has one")
        made = [f"{one} = _lowering.Variable({one if one in parameters else ''})" for one in sorted(own)]
        left = ["_lowering.leave()", "return _lowering.LEFT"] * self.is_entry
        if self.has_results:
            made, left = [*made, "_result = _lowering.Variable()"], ["return _result.value"]
        node.body = [*self.statements(made), *body, *self.statements(left)]
        return node

    def statements(self, texts):
        return ast.parse("\n" * (self.line - 1) + ";".join(texts)).body

    def visit_FunctionDef(self, node):
        return _Rewriting(self.file, False, self.variables, self.ended).function(node)

    def visit_Nonlocal(self, node):
        return []

    def block(self, statements):
        """Rewrite statements. If one is an `if` that ends in `return`, what follows it becomes its `else`."""
        made: list = []
        may_return = self.may_return
        self.blocks.append(set())
        while statements:
            one, *statements = statements
            ends = isinstance(one, ast.Return)
            if ends and statements:
                self.refuse(statements[0], "statements after `return`")
            if isinstance(one, ast.If) and not one.orelse and not self.is_entry:
                last = one.body[-1]
                ends = isinstance(last, ast.Return) and bool(statements or not last.value)
                if ends:
                    one.orelse, statements = statements, []
            self.may_return = may_return and ends
            found = self.visit(one)
            made += found if isinstance(found, list) else [found]
        if may_return and not ends:
            self.falls = one
        self.may_return = may_return
        self.ended |= self.blocks.pop()
        return made or self.statements(["pass"])

    def visit_Return(self, node):
        value = [self.visit(node.value)] if node.value else []
        if self.is_entry:
            return self.new(ast.Expr, self.call("leave", *value))
        if self.loops:
            self.refuse(node, "`return` in a loop, unless it is a whole compiled function")
        if not self.may_return:
            self.refuse(node, "a `return` that is not at the end of an `if` without `else`, before other statements")
        if not value:
            self.falls = node
            return []
        if len(self.blocks) == 1:
            return self.new(ast.Return, *value)
        self.has_results = True
        return self.new(ast.Assign, [self.value("_result", ast.Store())], *value)

    # names and assignment

    def visit_Name(self, node):
        is_load = isinstance(node.ctx, ast.Load)
        if is_load and node.id in self.ended:
            self.refuse(node, f"the name `{node.id}` outside of the block or loop that binds it")
        if node.id in self.variables:
            return self.value(node.id, node.ctx)
        if not is_load:
            self.ended.discard(node.id)
            self.blocks[-1].add(node.id)
        return node

    def visit_Assign(self, node):
        if len(node.targets) > 1:
            self.refuse(node, "two targets in one assignment")
        self.check(node.targets[0], ast.Name, ast.Attribute, ast.Subscript)
        node.value = self.call("bound", self.visit(node.value))
        node.targets = [self.visit(node.targets[0])]
        return node

    def check(self, target, *kinds):
        if not all(isinstance(one, kinds) for one in getattr(target, "elts", [target])):
            self.refuse(target, f"the target `{ast.unparse(target)}`")

    def visit_AugAssign(self, node):
        self.generic_visit(node)
        node.value = self.call("wide", node.value)
        return node

    def visit_comprehension(self, node):
        self.loop_names(node.target)
        node.iter, node.ifs = self.visit(node.iter), [self.visit(one) for one in node.ifs]
        return node

    # conditions and operators

    def visit_BoolOp(self, node):
        self.generic_visit(node)
        first, *rest = node.values
        return self.call("both" if isinstance(node.op, ast.And) else "either", first, *map(self.later, rest))

    def visit_Compare(self, node):
        if len(node.ops) > 1:
            self.refuse(node, "a chain of comparisons: write `a < b and b < c`")
        self.generic_visit(node)
        node.left, node.comparators[0] = self.call("wide", node.left), self.call("wide", node.comparators[0])
        return self.call("compared", node)

    def visit_BinOp(self, node):
        self.generic_visit(node)
        node.left, node.right = self.call("wide", node.left), self.call("wide", node.right)
        return self.call("settled", node) if isinstance(node.op, (ast.FloorDiv, ast.Mod)) else node

    def visit_UnaryOp(self, node):
        self.generic_visit(node)
        if isinstance(node.op, ast.Not):
            return self.call("negation", node.operand)
        node.operand = self.call("wide", node.operand)
        return node

    def visit_IfExp(self, node):
        self.generic_visit(node)
        return self.call("pick", node.test, self.later(node.body), self.later(node.orelse))

    def visit_Call(self, node):
        name = LOWERED.get(getattr(node.func, "id", ""))
        if name:
            node.func = self.call(name).func
        return self.generic_visit(node)

    # statements

    def turns(self, over, body):
        """A Python loop around emitted code: it has one turn for each side that the code has, or none."""
        return self.new(ast.For, self.new(ast.Name, "_side", ast.Store()), over, body, [])

    def visit_Expr(self, node):
        node.value = self.call("bound", self.visit(node.value))
        return node

    def visit_If(self, node):
        if node.orelse:
            over = self.call("branch", self.visit(node.test))
            return self.turns(over, [self.new(ast.If, self.load("_side"), *map(self.block, (node.body, node.orelse)))])
        first, *rest = map(self.visit, self.tests(node))
        return self.turns(self.call("when", first, *map(self.later, rest)), self.block(node.body))

    def tests(self, node):
        is_and = isinstance(node.test, ast.BoolOp) and isinstance(node.test.op, ast.And)
        return node.test.values if is_and else [node.test]

    def visit_For(self, node: Any):
        names, over = self.loop_names(node.target), node.iter
        is_range = isinstance(over, ast.Call) and ast.unparse(over.func) == "range" and not over.keywords
        node.iter = self.call("loop", *map(self.visit, over.args)) if is_range else self.visit(over)
        self.ended -= names
        self.taken |= names
        node.body = self.loop(node, is_range)
        self.taken -= names
        self.ended |= names
        return node

    def loop_names(self, target) -> set[str]:
        self.check(target, ast.Name)
        names = _names(target) - {"_"}
        for name in names & self.taken:
            self.refuse(target, f"the name `{name}` both for a loop and for a variable or another loop around it")
        return names

    def visit_While(self, node):
        stops = [self.new(ast.Expr, self.call("go_on_if", self.visit(one))) for one in self.tests(node)]
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
        return self.statements([f"_lowering.{name}()"])

    def visit_Continue(self, node):
        return self.visit_Break(node, "next_turn")


def _names(target) -> set[str]:
    return {one.id for one in ast.walk(target) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)}


def _parameters(definition: Any) -> set[str]:
    return {one.arg for one in ast.walk(definition.args) if isinstance(one, ast.arg)}


def _assignments(definition: Any) -> tuple[Counter[str], set[str]]:
    """Return how often each name is assigned, also by functions inside; and the names of functions around this one."""
    times, inside, around = Counter(_parameters(definition)), Counter(), set()
    waiting: list[Any] = [*definition.body]
    for node in waiting:
        if type(node) in TIMES:
            for target in getattr(node, "targets", None) or [node.target]:
                times.update(dict.fromkeys(_names(target), TIMES[type(node)]))
        if isinstance(node, ast.FunctionDef):
            found, names = _assignments(node)
            times[node.name] += 0
            inside.update({name: found[name] for name in names})
        else:
            waiting += [*getattr(node, "body", ()), *getattr(node, "orelse", ())]
        if isinstance(node, ast.Nonlocal):
            around.update(node.names)
    around |= inside.keys() - times.keys()
    times.update(inside)
    return times, around
