"""`@plain` makes functions that TVM can compile and Python can run.

While TIR is being emitted, calling such a function emits code that does what its source says. At any other time, it is
the ordinary Python function, so debuggers can step through it, and unit tests need no TVM. Its syntax tree is rewritten
once, at the first call that emits: `if`, `for`, `while`, `and` and assignments become calls to `lowering`. Line numbers
stay the same. Code outside the subset raises a SyntaxError with the file and line.
"""

from __future__ import annotations

import ast
import functools
import linecache
from collections import Counter
from collections.abc import Callable, Iterable
from types import CodeType, FunctionType
from typing import Any, TypeVar

from . import lowering

F = TypeVar("F", bound=Callable[..., Any])


def plain(function: F) -> F:
    return _emit_or_run(function, function, False)


def entry(function: F) -> F:
    """Make a plain function that is a whole compiled function: it may `return` anywhere, even in loops.

    `return` without a value means that there is no result. An entry may call another entry only by `return other(...)`.
    """

    def python(*arguments, **named):
        try:
            return function(*arguments, **named)
        except lowering.Left as left:
            return left.value

    return _emit_or_run(function, python, True)


def _emit_or_run(function: Callable, python: Callable, is_entry: bool) -> Any:
    emitter = functools.cache(lambda: rewritten(function, is_entry))

    @functools.wraps(function)
    def emit_or_run(*arguments, **named):
        return (emitter() if lowering.is_emitting() else python)(*arguments, **named)

    return emit_or_run


def rewritten(function: Callable, is_entry: bool = False) -> Callable:
    code, scope = function.__code__, function.__globals__
    scope["__lowering"] = lowering
    linecache.getlines(code.co_filename, scope)  # the source may be in an archive, which the module's loader can read
    emitter_code = _emitter(code.co_filename, code, is_entry)
    cells = dict(zip(code.co_freevars, function.__closure__ or ()))
    closure = tuple(cells[name] for name in emitter_code.co_freevars)
    emitter = FunctionType(emitter_code, scope, code.co_name, function.__defaults__, closure)
    emitter.__kwdefaults__ = function.__kwdefaults__
    return emitter


@functools.cache
def _emitter(file: str, code: CodeType, is_entry: bool) -> CodeType:
    node: Any = _definitions("".join(linecache.getlines(file))).get((code.co_firstlineno, code.co_name))
    if node is None:
        raise OSError(f"to compile {code.co_name}, the lines of its `def` are needed, but they are not in {file}")
    rewriting = _Rewriting(file, node, is_entry, {})
    # Nest the emitter in a function whose parameters are its free variables. Its own name must remain a global in it.
    made: Any = ast.parse(f"def _closure({', '.join(code.co_freevars)}): 0")
    arguments = rewriting.copy(node.args, defaults=[], kw_defaults=[None] * len(node.args.kwonlyargs))
    made.body[0].body = [rewriting.function(args=arguments, name="_emitter", decorator_list=[])]
    made = compile(made, file, "exec")
    for _ in range(2):
        (made,) = [one for one in made.co_consts if isinstance(one, CodeType)]
    return made.replace(co_name=code.co_name, co_qualname=code.co_qualname)


@functools.cache
def _definitions(source: str) -> dict[tuple[int, str], ast.FunctionDef]:
    """Return all functions of a file, by first line and name."""
    nodes: list[Any] = [ast.parse(source)]
    functions = {}
    for node in nodes:
        nodes += _statements_in(node)
        if isinstance(node, ast.FunctionDef):
            first = [*node.decorator_list, node][0]
            functions[first.lineno, node.name] = node
    return functions


def _statements_in(node: Any) -> list:
    fields = ("body", "orelse", "handlers", "finalbody", "cases")
    return [statement for field in fields for statement in getattr(node, field, ())]


COPIED = {
    "arguments", "arg", "Nonlocal", "Pass", "Yield", "Constant", "Attribute", "Subscript", "Tuple", "List", "Dict",
    "ListComp", "Starred", "keyword", "JoinedStr", "FormattedValue", "Add", "Sub", "Mult", "FloorDiv", "Mod", "LShift",
    "RShift", "BitAnd", "BitOr", "BitXor", "Invert", "USub", "Eq", "NotEq", "Lt", "LtE", "Gt", "GtE",
}  # fmt: skip
SPELLINGS = {"Is": "is", "IsNot": "is not", "In": "in", "NotIn": "not in", "Div": "/", "Pow": "**", "NamedExpr": ":="}
ASSIGN_COUNTS = {ast.Assign: 1, ast.AugAssign: 2}  # how many assignments each counts as; two make a variable
NAME_FIELDS = {"Name": "id", "Attribute": "attr", "keyword": "arg", "arg": "arg", "FunctionDef": "name"}
LOWERED = {"max": "maximum", "min": "minimum"}
NO_ARGS = ast.arguments([], [], None, [], [], None, [])


class _Rewriting:
    """Rewrites a function. The file's syntax tree is not modified: changed nodes are copies.

    `scope` maps each known name to "variable" (assigned repeatedly), "value" (once), "loop" (a loop's name) or "ended"
    (its block is over); "for": whether the enclosing loop is emitted (None: no loop); "return": whether this is
    the last statement.
    """

    def __init__(self, file: str, definition: Any, is_entry: bool, scope: dict[str, Any]):
        self.file, self.definition, self.is_entry = file, definition, is_entry
        self.current: Any = definition  # the node being rewritten
        self.assign_counts, _ = _assignments(definition)
        self.variables = {name for name, count in self.assign_counts.items() if count > 1}
        outer_names = {k: state for k, state in scope.items() if k not in self.assign_counts and state != "loop"}
        self.scope = outer_names | dict.fromkeys(self.variables, "variable") | {"for": None, "return": not is_entry}
        self.results, self.without_result = [], None  # assignments of results; a statement without one, at an end

    def refuse(self, text: str, node=None):
        node = node or self.current
        raise SyntaxError(f"a plain function cannot have {text}", (self.file, node.lineno, node.col_offset + 1, None))

    def visit(self, node) -> Any:
        if not isinstance(node, ast.AST):
            return list(map(self.visit, node)) if isinstance(node, list) else node
        parent, kind = self.current, type(node).__name__
        self.current = node if hasattr(node, "lineno") else parent
        name = getattr(node, NAME_FIELDS.get(kind, ""), None) or ""
        if name.startswith("__") or name in (*LOWERED, "range"):
            self.refuse(f"the name `{name}`, except `for k in range(...)`, `max(...)` and `min(...)`")
        rewrite = self.copy if kind in COPIED else getattr(self, f"visit_{kind}", None)
        result = rewrite(node) if rewrite else self.refuse(f"`{SPELLINGS.get(kind, kind.lower())}`")
        self.current = parent
        return result

    def copy(self, node, **fields) -> Any:
        """Return a copy of a node. Fields that are not given are rewritten."""
        for name in node._fields:
            if name != "ctx" and name not in fields:
                fields[name] = self.visit(getattr(node, name))
        return _changed(node, **fields)

    def operand(self, node):
        return self.call("wide", self.visit(node))

    def new(self, kind: Callable[..., Any], *fields) -> Any:
        """Make a syntax tree node with the line number of the node being rewritten."""
        return kind(*fields, lineno=self.current.lineno, col_offset=self.current.col_offset)

    def load(self, name: str, attribute: str, context: ast.expr_context):
        return self.new(ast.Attribute, self.new(ast.Name, name, ast.Load()), attribute, context)

    def call(self, name: str, *arguments):
        return self.new(ast.Call, self.load("__lowering", name, ast.Load()), list(arguments), [])

    def lazily(self, name: str, first, *rest):
        """Make a call whose arguments after the first are lambdas: the called function decides when to emit them."""
        return self.call(name, self.visit(first), *[self.new(ast.Lambda, NO_ARGS, self.visit(one)) for one in rest])

    def statements(self, *texts: str):
        return ast.parse("\n" * (self.current.lineno - 1) + ";".join(texts)).body

    def function(self, **fields):
        """Rewrite the function. The result first creates all variables, so that every branch and loop can set them."""
        body, parameters = self.block(self.definition.body), _parameters(self.definition)
        if self.results and self.without_result:
            self.refuse("an end without a result, if another end has one", self.without_result)
        start = [f"{one} = __lowering.Variable({one if one in parameters else ''})" for one in sorted(self.variables)]
        end = ["__lowering.leave()", "return __lowering.Left"] * self.is_entry
        if len(self.results) == 1:
            body[-1] = ast.copy_location(ast.Return(self.results[0].value), body[-1])
        elif self.results:
            start.append("__result = __lowering.Variable()")
            end = ["return __result.value"]
        fields["body"] = self.statements(*start) + body + self.statements(*end)
        return _changed(self.definition, **fields)

    def visit_FunctionDef(self, node):
        return _Rewriting(self.file, node, False, self.scope).function(args=self.visit(node.args))

    def block(self, statements: list[Any], inside=()) -> list:
        """Rewrite statements. If an `if` ends in `return`, the statements after it become its `else`."""
        rewritten_block, outer_scope = [], self.scope
        self.scope = outer_scope | dict(inside)
        while statements:
            statement, *statements = statements
            if isinstance(statement, ast.Return) and statements:
                self.refuse("statements after `return`", statements[0])
            last: Any = statement.body[-1] if isinstance(statement, ast.If) and not statement.orelse else statement
            ends = outer_scope["return"] and isinstance(last, ast.Return)
            if ends and last is not statement:
                ends = bool(statements or not last.value)
                statement, statements = _changed(statement, orelse=statements), []
            self.scope["return"] = ends
            rewritten_block.append(self.visit(statement))
        if outer_scope["return"] and not ends:
            self.without_result = statement
        self.scope = dict.fromkeys(self.scope, "ended") | outer_scope
        return rewritten_block

    def visit_Return(self, node):
        value = [self.visit(node.value)] if node.value else []
        if self.is_entry:
            return self.new(ast.Expr, self.call("leave", *value))
        if not self.scope["return"]:
            if self.scope["for"] is not None:
                self.refuse("`return` in a loop, unless it is a whole compiled function")
            self.refuse("a `return` that is not at the end of an `if` without `else`, before other statements")
        if not value:
            self.without_result = node
            return self.new(ast.Pass)
        self.results.append(self.new(ast.Assign, [self.load("__result", "value", ast.Store())], *value))
        return self.results[-1]

    # names and assignment

    def visit_Name(self, node):
        state = self.scope.get(node.id)
        if state == "variable":
            return self.load(node.id, "value", node.ctx)
        if isinstance(node.ctx, ast.Store):
            self.scope[node.id] = "value"
        elif state == "ended":
            self.refuse(f"the name `{node.id}` outside of the block or loop that binds it")
        return node

    def visit_Assign(self, node):
        if len(node.targets) > 1:
            self.refuse("two targets in one assignment")
        self.check(node.targets[0], ast.Name, ast.Attribute, ast.Subscript)
        return self.visit_Expr(node)

    def visit_Expr(self, node):
        return self.copy(node, value=self.call("bound", self.visit(node.value)))

    def visit_AugAssign(self, node):
        return self.copy(node, value=self.operand(node.value))

    def check(self, target, *kinds):
        if not all(isinstance(one, kinds) for one in getattr(target, "elts", [target])):
            self.refuse(f"the target `{ast.unparse(target)}`", target)

    # conditions and operators

    def visit_BoolOp(self, node):
        return self.lazily("both" if isinstance(node.op, ast.And) else "either", *node.values)

    def visit_Compare(self, node):
        if len(node.ops) > 1:
            self.refuse("a chain of comparisons: write `a < b and b < c`")
        right = self.operand(node.comparators[0])
        return self.call("compared", self.copy(node, left=self.operand(node.left), comparators=[right]))

    def visit_BinOp(self, node):
        operation = self.copy(node, left=self.operand(node.left), right=self.operand(node.right))
        return self.call("settled", operation) if isinstance(node.op, (ast.FloorDiv, ast.Mod)) else operation

    def visit_UnaryOp(self, node):
        if isinstance(node.op, ast.Not):
            return self.call("negation", self.visit(node.operand))
        return self.copy(node, operand=self.operand(node.operand))

    def visit_IfExp(self, node):
        return self.lazily("pick", node.test, node.body, node.orelse)

    def visit_Call(self, node):
        name = LOWERED.get(getattr(node.func, "id", ""))
        return self.copy(node, func=self.call(name).func) if name else self.copy(node)

    def for_loop(self, over, body: list):
        """Make a `for` over a generator that yields once for each block to emit. `__side` tells `if` from `else`."""
        return self.new(ast.For, self.new(ast.Name, "__side", ast.Store()), over, body, [])

    def visit_If(self, node):
        over = self.lazily("branch", node.test) if node.orelse else self.lazily("when", *_tests(node))
        blocks = self.block(node.body), node.orelse and self.block(node.orelse)
        return self.for_loop(over, [self.new(ast.If, self.new(ast.Name, "__side", ast.Load()), *blocks)])

    def visit_While(self, node):
        stops = [self.new(ast.Expr, self.lazily("break_unless", one)) for one in _tests(node)]
        return self.for_loop(self.call("forever"), stops + self.loop_body(node, True))

    def visit_For(self, node):
        names, over = self.loop_names(node), node.iter
        is_range = isinstance(over, ast.Call) and getattr(over.func, "id", "") == "range" and not over.keywords
        over = self.call("loop", *map(self.visit, over.args)) if is_range else self.visit(over)
        return self.new(ast.For, node.target, over, self.loop_body(node, is_range, names), [])

    def visit_comprehension(self, node):
        self.loop_names(node)
        return self.copy(node, target=node.target)

    def loop_names(self, node) -> set[str]:
        self.check(node.target, ast.Name)
        names = _names(node.target) - {"_"}
        for name in names:
            if self.assign_counts[name] or self.scope.get(name) in ("variable", "loop"):
                self.refuse(f"the name `{name}` both for a loop and for a variable or outer loop", node.target)
        return names

    def loop_body(self, node, is_emitted: bool, names: Iterable[str] = ()):
        if node.orelse:
            self.refuse("`else` of a loop")
        return self.block(node.body, dict.fromkeys(names, "loop") | {"for": is_emitted})

    def visit_Break(self, node):
        if not self.scope["for"]:
            self.refuse("`break` or `continue` in a loop that is neither over `range` nor `while`")
        return self.statements(f"__lowering.T.evaluate(__lowering.T.{type(node).__name__.lower()}_loop())")[0]

    visit_Continue = visit_Break


def _changed(node, **fields) -> Any:
    return type(node)(**vars(node) | fields)


def _tests(node) -> list[ast.expr]:
    test = node.test
    return test.values if isinstance(getattr(test, "op", None), ast.And) else [test]


def _names(target) -> set[str]:
    return {one.id for one in getattr(target, "elts", [target]) if isinstance(one, ast.Name)}


def _parameters(definition) -> set[str]:
    return {one.arg for one in ast.iter_child_nodes(definition.args) if isinstance(one, ast.arg)}


def _assignments(definition) -> tuple[Counter[str], set[str]]:
    """Return how often each local name is assigned, also by nested functions; and the names that are not local."""
    times, set_by_inner, not_local = Counter(_parameters(definition)), set(), set()
    nodes: list[Any] = [*definition.body]
    for node in nodes:
        for target in getattr(node, "targets", [getattr(node, "target", None)]):
            times.update(dict.fromkeys(_names(target), ASSIGN_COUNTS.get(type(node), 0)))
        if isinstance(node, ast.FunctionDef):
            times[node.name] += 0
            set_by_inner |= _assignments(node)[1]
        else:
            nodes += _statements_in(node)
        if isinstance(node, ast.Nonlocal):
            not_local.update(node.names)
    not_local |= set_by_inner - times.keys()
    times.update(dict.fromkeys(set_by_inner, 2))
    for name in not_local:
        del times[name]
    return times, not_local
