"""Count the lines of the packages: `python tests/lines.py [REVISION ...]`. The default is the files as they are now.

The counts are: all lines; lines of code, which have a token outside of comments and docstrings; lines of text, which
are in docstrings or have only a comment; and tokens of code. Generated files do not count.
"""

import ast
import collections
import io
import subprocess
import sys
import tarfile
import tokenize
from pathlib import Path

ROOT = Path(__file__).parents[1]
COUNTS = ("all", "code", "texts", "tokens")
LAYOUT = (tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def counts_of(source):
    """Return the four counts of a file."""
    texts, comments, code, tokens = set(), set(), set(), 0
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            first = node.body[0]
            texts |= set(range(first.lineno, first.end_lineno + 1))
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        lines = range(token.start[0], token.end[0] + 1)
        if token.type == tokenize.COMMENT:
            comments |= set(lines)
        elif token.type not in LAYOUT and token.start[0] not in texts:
            code |= set(lines)
            tokens += 1
    return source.count("\n"), len(code), len(texts | comments - code), tokens


def sources(revision):
    """Yield (path, source) of each Python file of the packages, at a revision or as the files are now."""
    if not revision:
        for path in sorted(ROOT.glob("packages/*/src/**/*.py")):
            yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
        return
    archive = subprocess.run(
        ["git", "-C", ROOT, "archive", revision, "packages"], check=True, capture_output=True
    ).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        for member in files:
            if member.isfile() and "/src/" in member.name and member.name.endswith(".py"):
                yield member.name, files.extractfile(member).read().decode()


def table(revision=""):
    """Return the counts of each package, and of all under the name "together"."""
    found = collections.defaultdict(lambda: [0] * len(COUNTS))
    for path, source in sources(revision):
        if " Made by `python " in source.partition("\n")[0]:
            continue
        for name in (path.split("/")[1], "together"):
            found[name] = [a + b for a, b in zip(found[name], counts_of(source))]
    return found


if __name__ == "__main__":
    for revision in sys.argv[1:] or [""]:
        print(f"{revision or 'now':<16}" + "".join(f"{name:>9}" for name in COUNTS))
        for package, counts in sorted(table(revision).items()):
            print(f"{package:<16}" + "".join(f"{count:>9}" for count in counts))
