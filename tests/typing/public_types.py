"""Asks pyright which names `dynet` has, and mypy for the type of each name and of each class's methods.

The names must be those of `__all__`, and no type Any, except for those listed here. `nox -s types` runs it.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import dynet as dy
from dynet_core.messages.hints import Hint

OF_SHAPES = "what it is depends on the shape, which types do not tell"
OF_FILES = "a file holds objects of any kind, as one of pickle does"
OF_USERS = "the user's function decides"
EXCEPTIONS = {
    "Expression.value": OF_SHAPES,
    "values": OF_SHAPES,
    "load": OF_FILES,
    "load_generator": OF_FILES,
    "ParameterCollection.load": OF_FILES,
    "function": OF_USERS,
    "transduce": OF_USERS,
    "pass_messages": OF_USERS,
}
"""What gives Any, or a list of it, and why."""
UNSEEN = {"_RNNBuilder"}  # pyright considers it private, because of its name


def names_seen() -> set[str]:
    """The public names of `dynet`, as pyright sees them from outside."""
    command = ["pyright", "--verifytypes", "dynet", "--ignoreexternal", "--outputjson"]
    done = subprocess.run(command, capture_output=True, text=True)
    symbols = json.loads(done.stdout)["typeCompleteness"]["symbols"]
    names = {each["name"].removeprefix("dynet.") for each in symbols if each["isExported"]}
    return {name for name in names if not name.startswith("__main__.")}


def expressions() -> list[str]:
    """Every public name, and the methods and attributes that this library's sources define for a class."""
    found = []
    for name in sorted(dy._PUBLIC):
        found.append(name)
        kind = getattr(dy, name)
        if isinstance(kind, type) and kind.__module__.startswith("dynet"):
            ours = [cls for cls in kind.__mro__ if cls.__module__.startswith("dynet")]
            pairs = [pair for cls in ours for pair in vars(cls).items()]
            members = {member for member, x in pairs if not member.startswith("_") and not isinstance(x, Hint)}
            found += [f"{name}.{member}" for member in sorted(members)]
    return found


def asked(name: str, number: int) -> str:
    """A line that asks for a type; members are asked for as attributes of an object."""
    kind, _, member = name.rpartition(".")
    return f"def ask_{number}(x: dy.{kind}) -> None: reveal_type(x.{member})\n" if kind else f"reveal_type(dy.{name})\n"


def revealed(names: list[str]) -> dict[str, str]:
    """The types that mypy reports for these names."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "program.py"
        program.write_text("import dynet as dy\n" + "".join(asked(name, number) for number, name in enumerate(names)))
        command = ["mypy", "--strict", f"--cache-dir={folder}/cache", str(program)]
        done = subprocess.run(command, capture_output=True, text=True)
    found: dict[str, str] = {}
    for number, kind, error in re.findall(
        r"program\.py:(\d+): (?:note: Revealed type is (.*)|error: (.*))", done.stdout
    ):
        found.setdefault(names[int(number) - 2], kind.strip('"') or f"Any: {error}")
    return found


BESIDES = {"Number"}  # names of `dynet` that `from dynet import *` leaves to programs


def given_by(kind: str) -> str:
    """A function's result types, for all overloads, or the type itself. Types that numpy leaves open do not count."""
    plain = re.sub(r"tuple\[Any, \.\.\.\]|numpy\.(dtype|floating|integer)\[Any\]", "", kind)
    if not plain.startswith(("def ", "Overload(")):
        return plain
    return " ".join(re.split(r", def |\)$", part)[0] for part in plain.split(" -> ")[1:])


def is_exception(name: str) -> bool:
    """Whether a name is an exception to the rule, or belongs to a subclass or alias of one."""
    kind, _, member = name.rpartition(".")
    if not kind:
        return name in EXCEPTIONS
    owners = [one for one in EXCEPTIONS if one.endswith(f".{member}")]
    return any(issubclass(getattr(dy, kind), getattr(dy, one.partition(".")[0])) for one in owners)


def main() -> int:
    seen, wanted = names_seen() | UNSEEN, {*dy._PUBLIC, *BESIDES}
    problems = [f"{name} is public, and checkers do not see it" for name in sorted(wanted - seen)]
    problems += [f"{name} is not public, and checkers see it" for name in sorted(seen - wanted)]
    names = expressions()
    types = revealed(names)
    without = [name for name in names if re.search(r"\bAny\b", given_by(types.get(name, "Any: nothing was said")))]
    problems += [f"{name} is {types.get(name, 'not known')}" for name in without if not is_exception(name)]
    needless = [name for name in EXCEPTIONS if name in names and name not in without]
    problems += [f"{name} is an exception without need: it is {types[name]}" for name in needless]
    print(*problems, f"{len(names)} names, {len(without)} of them Any for a reason: {len(problems)} problems", sep="\n")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
