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

    def run(*arguments, **keywords):
        try:
            return function(*arguments, **keywords)
        except lowering.EntryLeft as left:
            return left.result

    return _emit_or_run(function, run, True)


def _emit_or_run(function: Callable, run: Callable, is_entry: bool) -> Any:
    emitter = functools.cache(lambda: emitter_of(function, is_entry))

    @functools.wraps(function)
    def emit_or_run(*arguments, **keywords):
        return (emitter() if lowering.is_emitting() else run)(*arguments, **keywords)

    return emit_or_run


def emitter_of(function: Callable, is_entry: bool = False) -> Callable:
    code, scope = function.__code__, function.__globals__
    scope["__lowering"] = lowering  # the rewritten code calls its functions
    linecache.getlines(code.co_filename, scope)  # the source may be in an archive, which the module's loader can read
    emitter_code = _emitter_code(code.co_filename, code, is_entry)
    cells = dict(zip(code.co_freevars, function.__closure__ or ()))
    closure = tuple(cells[name] for name in emitter_code.co_freevars)
    emitter = FunctionType(emitter_code, scope, code.co_name, function.__defaults__, closure)
    emitter.__kwdefaults__ = function.__kwdefaults__
    return emitter


@functools.cache
def _emitter_code(file: str, code: CodeType, is_entry: bool) -> CodeType:
    node: Any = _definitions("".join(linecache.getlines(file))).get((code.co_firstlineno, code.co_name))
    if node is None:
        raise OSError(f"to compile {code.co_name}, the lines of its `def` are needed, but they are not in {file}")
    rewriting = _Rewriter(file, node, is_entry, {})
    # Nest the emitter in a function whose parameters become the emitter's free variables. It cannot have the plain
    # function's name, which must remain that of a global in it.
    nested: Any = ast.parse(f"def _closure({', '.join(code.co_freevars)}): 0")
    arguments = rewriting.copy(node.args, defaults=[], kw_defaults=[None] * len(node.args.kwonlyargs))
    nested.body[0].body = [rewriting.rewrite_function(args=arguments, name="_emitter", decorator_list=[])]
    nested = compile(nested, file, "exec")
    for _ in range(2):  # from the module's code to that of `_closure`, and on to that of `_emitter` in it
        (nested,) = [constant for constant in nested.co_consts if isinstance(constant, CodeType)]
    return nested.replace(co_name=code.co_name, co_qualname=code.co_qualname)


@functools.cache
def _definitions(source: str) -> dict[tuple[int, str], ast.FunctionDef]:
    """Return (first line, name) -> syntax tree, for all functions of a file."""
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


# These kinds of nodes are copied, with rewritten fields. All others have a method `visit_KIND`, or are errors.
COPIED_KINDS = {
    "arguments", "arg", "Nonlocal", "Pass", "Yield", "Constant", "Attribute", "Subscript", "Tuple", "List", "Dict",
    "ListComp", "Starred", "keyword", "JoinedStr", "FormattedValue", "Add", "Sub", "Mult", "FloorDiv", "Mod", "LShift",
    "RShift", "BitAnd", "BitOr", "BitXor", "Invert", "USub", "Eq", "NotEq", "Lt", "LtE", "Gt", "GtE",
}  # fmt: skip
SPELLINGS = {"Is": "is", "IsNot": "is not", "In": "in", "NotIn": "not in", "Div": "/", "Pow": "**", "NamedExpr": ":="}
ASSIGN_COUNTS = {ast.Assign: 1, ast.AugAssign: 2}  # kind -> how many assignments it counts as; two make a variable
NAME_FIELDS = {"Name": "id", "Attribute": "attr", "keyword": "arg", "arg": "arg", "FunctionDef": "name"}
LOWERED_NAMES = {"max": "maximum", "min": "minimum"}
NO_ARGS = ast.arguments([], [], None, [], [], None, [])


class _Rewriter:
    """Rewrites a function. The file's syntax tree is not modified: changed nodes are copies.

    `scope` maps each name seen so far to "variable" (assigned more than once), "value" (assigned once), "loop" (set by
    a loop) or "ended" (its block is over). `scope["for"]` says whether the enclosing loop is one of the emitted code
    (None: there is no loop), and `scope["return"]` whether the statement may `return`.
    """

    def __init__(self, file: str, definition: Any, is_entry: bool, scope: dict[str, Any]):
        self.file, self.definition, self.is_entry = file, definition, is_entry
        self.current_node: Any = definition  # the node being rewritten
        self.assign_counts, _ = _count_assignments(definition)
        self.variables = {name for name, count in self.assign_counts.items() if count > 1}
        outer_names = {k: state for k, state in scope.items() if k not in self.assign_counts and state != "loop"}
        self.scope = outer_names | dict.fromkeys(self.variables, "variable") | {"for": None, "return": not is_entry}
        self.results, self.end_without_result = [], None  # each `return x`, rewritten; a statement at an end without x

    def refuse(self, text: str, node=None):
        node = node or self.current_node
        raise SyntaxError(f"a plain function cannot have {text}", (self.file, node.lineno, node.col_offset + 1, None))

    def visit(self, node) -> Any:
        if not isinstance(node, ast.AST):
            return list(map(self.visit, node)) if isinstance(node, list) else node
        parent, kind = self.current_node, type(node).__name__
        self.current_node = node if hasattr(node, "lineno") else parent
        name = getattr(node, NAME_FIELDS.get(kind, ""), None) or ""
        if name.startswith("__") or name in (*LOWERED_NAMES, "range"):
            self.refuse(f"the name `{name}`, except `for k in range(...)`, `max(...)` and `min(...)`")
        rewrite = self.copy if kind in COPIED_KINDS else getattr(self, f"visit_{kind}", None)
        result = rewrite(node) if rewrite else self.refuse(f"`{SPELLINGS.get(kind, kind.lower())}`")
        self.current_node = parent
        return result

    def copy(self, node, **fields) -> Any:
        """Return a copy of a node. Fields that are not given are rewritten."""
        for name in node._fields:
            if name != "ctx" and name not in fields:
                fields[name] = self.visit(getattr(node, name))
        return _copy_with(node, **fields)

    def rewrite_operand(self, node):
        return self.call("widen", self.visit(node))

    def new(self, node_class: Callable[..., Any], *fields) -> Any:
        """Make a syntax tree node with the line number of the node being rewritten."""
        return node_class(*fields, lineno=self.current_node.lineno, col_offset=self.current_node.col_offset)

    def attribute(self, name: str, attribute_name: str, context: ast.expr_context):
        return self.new(ast.Attribute, self.new(ast.Name, name, ast.Load()), attribute_name, context)

    def call(self, name: str, *arguments):
        return self.new(ast.Call, self.attribute("__lowering", name, ast.Load()), list(arguments), [])

    def lazy_call(self, name: str, first, *rest):
        """Make a call whose arguments after the first are lambdas: the called function decides when to emit them."""
        return self.call(name, self.visit(first), *[self.new(ast.Lambda, NO_ARGS, self.visit(one)) for one in rest])

    def parse_statements(self, *texts: str):
        return ast.parse("\n" * (self.current_node.lineno - 1) + ";".join(texts)).body

    def rewrite_function(self, **fields):
        """Rewrite the function. The result first creates all variables, so that every branch and loop can set them."""
        body, parameters = self.rewrite_block(self.definition.body), _parameter_names(self.definition)
        if self.results and self.end_without_result:
            self.refuse("an end without a result, if another end has one", self.end_without_result)
        start = [f"{one} = __lowering.Variable({one if one in parameters else ''})" for one in sorted(self.variables)]
        end = ["__lowering.leave()", "return __lowering.EntryLeft"] * self.is_entry
        if len(self.results) == 1:
            body[-1] = ast.copy_location(ast.Return(self.results[0].value), body[-1])
        elif self.results:
            start.append("__result = __lowering.Variable()")
            end = ["return __result.value"]
        fields["body"] = self.parse_statements(*start) + body + self.parse_statements(*end)
        return _copy_with(self.definition, **fields)

    def visit_FunctionDef(self, node):
        return _Rewriter(self.file, node, False, self.scope).rewrite_function(args=self.visit(node.args))

    def rewrite_block(self, statements: list[Any], inner_scope=()) -> list:
        """Rewrite statements. If an `if` ends in `return`, the statements after it become its `else`."""
        rewritten_block, outer_scope = [], self.scope
        self.scope = outer_scope | dict(inner_scope)
        while statements:
            statement, *statements = statements
            if isinstance(statement, ast.Return) and statements:
                self.refuse("statements after `return`", statements[0])
            last: Any = statement.body[-1] if isinstance(statement, ast.If) and not statement.orelse else statement
            ends = outer_scope["return"] and isinstance(last, ast.Return)
            if ends and last is not statement:
                ends = bool(statements or not last.value)
                statement, statements = _copy_with(statement, orelse=statements), []
            self.scope["return"] = ends
            rewritten_block.append(self.visit(statement))
        if outer_scope["return"] and not ends:
            self.end_without_result = statement
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
            self.end_without_result = node
            return self.new(ast.Pass)
        self.results.append(self.new(ast.Assign, [self.attribute("__result", "value", ast.Store())], *value))
        return self.results[-1]

    # names and assignment

    def visit_Name(self, node):
        state = self.scope.get(node.id)
        if state == "variable":
            return self.attribute(node.id, "value", node.ctx)
        if isinstance(node.ctx, ast.Store):
            self.scope[node.id] = "value"
        elif state == "ended":
            self.refuse(f"the name `{node.id}` outside of the block or loop that binds it")
        return node

    def visit_Assign(self, node):
        if len(node.targets) > 1:
            self.refuse("two targets in one assignment")
        self.check_targets(node.targets[0], ast.Name, ast.Attribute, ast.Subscript)
        return self.visit_Expr(node)

    def visit_Expr(self, node):
        return self.copy(node, value=self.call("bind", self.visit(node.value)))

    def visit_AugAssign(self, node):
        return self.copy(node, value=self.rewrite_operand(node.value))

    def check_targets(self, target, *kinds):
        if not all(isinstance(one, kinds) for one in getattr(target, "elts", [target])):
            self.refuse(f"the target `{ast.unparse(target)}`", target)

    # conditions and operators

    def visit_BoolOp(self, node):
        return self.lazy_call("logical_and" if isinstance(node.op, ast.And) else "logical_or", *node.values)

    def visit_Compare(self, node):
        if len(node.ops) > 1:
            self.refuse("a chain of comparisons: write `a < b and b < c`")
        right = self.rewrite_operand(node.comparators[0])
        return self.call("as_comparison", self.copy(node, left=self.rewrite_operand(node.left), comparators=[right]))

    def visit_BinOp(self, node):
        operation = self.copy(node, left=self.rewrite_operand(node.left), right=self.rewrite_operand(node.right))
        return self.call("store_division", operation) if isinstance(node.op, (ast.FloorDiv, ast.Mod)) else operation

    def visit_UnaryOp(self, node):
        if isinstance(node.op, ast.Not):
            return self.call("logical_not", self.visit(node.operand))
        return self.copy(node, operand=self.rewrite_operand(node.operand))

    def visit_IfExp(self, node):
        return self.lazy_call("if_else", node.test, node.body, node.orelse)

    def visit_Call(self, node):
        name = LOWERED_NAMES.get(getattr(node.func, "id", ""))
        return self.copy(node, func=self.call(name).func) if name else self.copy(node)

    def for_loop(self, generator, body: list):
        """Make a `for` over a generator that yields once for each block to emit. `__side` tells `if` from `else`."""
        return self.new(ast.For, self.new(ast.Name, "__side", ast.Store()), generator, body, [])

    def visit_If(self, node):
        over = self.lazy_call("branch", node.test) if node.orelse else self.lazy_call("when", *_conditions(node))
        blocks = self.rewrite_block(node.body), node.orelse and self.rewrite_block(node.orelse)
        return self.for_loop(over, [self.new(ast.If, self.new(ast.Name, "__side", ast.Load()), *blocks)])

    def visit_While(self, node):
        breaks = [self.new(ast.Expr, self.lazy_call("break_unless", condition)) for condition in _conditions(node)]
        return self.for_loop(self.call("forever"), breaks + self.loop_body(node, True))

    def visit_For(self, node):
        names, over = self.loop_names(node), node.iter
        is_range = isinstance(over, ast.Call) and getattr(over.func, "id", "") == "range" and not over.keywords
        over = self.call("loop", *map(self.visit, over.args)) if is_range else self.visit(over)
        return self.new(ast.For, node.target, over, self.loop_body(node, is_range, names), [])

    def visit_comprehension(self, node):
        self.loop_names(node)
        return self.copy(node, target=node.target)

    def loop_names(self, node) -> set[str]:
        self.check_targets(node.target, ast.Name)
        names = _target_names(node.target) - {"_"}
        for name in names:
            if self.assign_counts[name] or self.scope.get(name) in ("variable", "loop"):
                self.refuse(f"the name `{name}` both for a loop and for a variable or outer loop", node.target)
        return names

    def loop_body(self, node, is_emitted: bool, names: Iterable[str] = ()):
        if node.orelse:
            self.refuse("`else` of a loop")
        return self.rewrite_block(node.body, dict.fromkeys(names, "loop") | {"for": is_emitted})

    def visit_Break(self, node):
        if not self.scope["for"]:
            self.refuse("`break` or `continue` in a loop that is neither over `range` nor `while`")
        return self.parse_statements(f"__lowering.T.evaluate(__lowering.T.{type(node).__name__.lower()}_loop())")[0]

    visit_Continue = visit_Break


def _copy_with(node, **fields) -> Any:
    return type(node)(**vars(node) | fields)


def _conditions(node) -> list[ast.expr]:
    test = node.test
    return test.values if isinstance(getattr(test, "op", None), ast.And) else [test]


def _target_names(target) -> set[str]:
    return {element.id for element in getattr(target, "elts", [target]) if isinstance(element, ast.Name)}


def _parameter_names(definition) -> set[str]:
    return {argument.arg for argument in ast.iter_child_nodes(definition.args) if isinstance(argument, ast.arg)}


def _count_assignments(definition) -> tuple[Counter[str], set[str]]:
    """Return how often each local name is assigned, also by nested functions; and the names that are not local."""
    counts, set_by_inner, not_local = Counter(_parameter_names(definition)), set(), set()
    nodes: list[Any] = [*definition.body]
    for node in nodes:
        for target in getattr(node, "targets", [getattr(node, "target", None)]):
            counts.update(dict.fromkeys(_target_names(target), ASSIGN_COUNTS.get(type(node), 0)))
        if isinstance(node, ast.FunctionDef):
            counts[node.name] += 0  # makes the name local
            set_by_inner |= _count_assignments(node)[1]
        else:
            nodes += _statements_in(node)
        if isinstance(node, ast.Nonlocal):
            not_local.update(node.names)
    not_local |= set_by_inner - counts.keys()
    counts.update(dict.fromkeys(set_by_inner, 2))  # makes them variables
    for name in not_local:
        del counts[name]
    return counts, not_local
