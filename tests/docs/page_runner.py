"""Runs the code of a documentation page as a reader would: pasted into an empty file, from the first block to the last.

A page is Markdown. Of its blocks,

- `python` is the program. A `text` block after it is what the block prints; `...` in it stands for anything, and the
  last digits of numbers with a point may differ, as they do between CPUs. `text like` is for times: any number will do.
- `python` whose first line is `# NAME.py` is a file of that name, which is written and not run.
- `console` has commands, `$ python NAME.py --option`, each followed by what it prints.

Other blocks are not run. A `text` block must follow a block that is run.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

BLOCK = re.compile(r"^```(\S+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# (\w+\.py)\n")
NUMBER = r"-?\d+\.\d+"
MARK = "<end of block {}>"
SECONDS = 300
PYTHON = os.environ.get("DYNET_READERS_PYTHON", sys.executable)  # nox -s readers sets it


@dataclass
class Block:
    kind: str
    text: str
    prints: str | None = None
    """What it prints, as the page says; None if it does not say."""
    loosely: bool = False
    """Whether any other numbers would do."""


def blocks(page: str) -> list[Block]:
    """Return the blocks of a page that are run, in order."""
    found: list[Block] = []
    before = None
    for kind, how, text in BLOCK.findall(page):
        if kind == "text":
            assert before in ("python", "console"), f"no block prints this:\n{text}"
            found[-1].prints, found[-1].loosely = text, how.strip() == "like"
        elif kind in ("python", "console"):
            found.append(Block(kind, text))
        before = kind
    return found


def is_file(block: Block) -> bool:
    return block.kind == "python" and bool(FILE.match(block.text))


def program(parts: list[Block]) -> str:
    """Return the program of a page, which reports where each block has ended."""
    lines = []
    for number, block in enumerate(parts):
        lines += [block.text, f"print({MARK.format(number)!r}, flush=True)\n"]
    return "\n".join(lines)


def pattern(said: str) -> str:
    """Return the pattern of the expected output: `...` matches anything, numbers with a point are groups to compare."""
    parts = re.split(rf"(\s*\.\.\.\s*|{NUMBER})", said)
    return "".join(
        re.escape(part) if place % 2 == 0 else ".*" if "..." in part else f"({NUMBER})"
        for place, part in enumerate(parts)
    )


def agrees(said: str, printed: str, loosely: bool = False) -> bool:
    """Whether output is as the page says, except for whitespace at ends of lines and the last digits of numbers."""
    if loosely:
        said, printed = (" ".join(re.sub(r"\d+(\.\d+)?", "0", text).split()) for text in (said, printed))
    said, printed = ("\n".join(line.rstrip() for line in text.strip().splitlines()) for text in (said, printed))
    found = re.fullmatch(pattern(said), printed, re.DOTALL)
    if found is None:
        return False
    wanted = [float(number) for number in re.findall(NUMBER, said.replace("...", " "))]
    pairs = zip(wanted, map(float, found.groups()), strict=True)
    return all(abs(one - other) <= 0.02 + 0.02 * abs(one) for one, other in pairs)


def run(arguments: list[str], folder: Path) -> str:
    environment = {**os.environ, "PYTHONWARNINGS": "error", "PYTHONHASHSEED": "0"}
    done = subprocess.run(
        arguments, cwd=folder, capture_output=True, text=True, encoding="utf-8", timeout=SECONDS, env=environment
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def commands(block: Block) -> list[tuple[str, str]]:
    """Return the commands of a `console` block, each with its output."""
    parts = re.split(r"^\$ (.*)\n", block.text, flags=re.MULTILINE)
    assert not parts[0].strip(), f"a command begins with $: {parts[0]}"
    return list(zip(parts[1::2], parts[2::2]))


def check(page: str, folder: Path) -> int:
    """Run a page in a folder; return how many blocks were run or written."""
    found = blocks(page)
    parts = [block for block in found if block.kind == "python" and not is_file(block)]
    for block in filter(is_file, found):
        name = FILE.match(block.text)
        assert name
        (folder / name[1]).write_text(block.text, encoding="utf-8")
    if parts:
        (folder / "program.py").write_text(program(parts), encoding="utf-8")
        rest = run([PYTHON, "program.py"], folder)
        for number, block in enumerate(parts):
            printed, _, rest = rest.partition(MARK.format(number) + "\n")
            said = "" if block.prints is None else block.prints
            assert agrees(said, printed, block.loosely), f"the page says\n{said}\nand the program prints\n{printed}"
    for block in found:
        for command, said in commands(block) if block.kind == "console" else ():
            words = shlex.split(command)
            assert words[0] == "python", command
            printed = run([PYTHON, *words[1:]], folder)
            assert agrees(said, printed), f"$ {command}\nthe page says\n{said}\nand it prints\n{printed}"
    return len(found)
