"""Random formulas as ops, against mpmath and torch: python tests/stress/random_formulas.py --count 300 --seed 0

Each formula becomes an op by `elementwise`. Its value and gradients at 139 points are compared with mpmath at 120
digits. No error may exceed 1e-4 unless float32 autograd in torch is also off. TORCH_PYTHON names a Python that has
torch. Without it, torch_is_off.json records where torch is off for the first formulas; --write creates it. For other
formulas, each error must have a known reason.

Not every lost digit is the library's fault. If a result is off, the formula is computed again in mpmath with the value
of each part changed at random by up to one unit in the last place of a float32. If this changes the result as much, no
float32 arithmetic can guarantee it, and torch is right only by luck.
"""

from __future__ import annotations

import argparse
import collections
import itertools
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from formulas import CONDITIONS, NAMES, SIGNS, UNARY, Formula, random_formulas, single_functions
from formulas_exact import CANCELLING, LARGEST, SMALLEST, beyond, jittered, one_sided, point, truth

import dynet as dy
from dynet_kernels import formula as f
from dynet_ops.kinds import elementwise

ANNOTATION = ": Expression"
ALLOWED = 1e-4  # relative error
FEWEST = 25  # minimum number of values and gradients at points for a formula to be tried
CONTEXT = multiprocessing.get_context("fork" if hasattr(os, "fork") else "spawn")
CHUNK = 40  # formulas per process
RECORD = Path(__file__).with_name("torch_is_off.json")
UNKNOWN = "unknown"
JITTERS = 24
ULPS = 4  # rounding explains a result if an error of this many units in the last place in each part does


def ours(formula: Formula, inputs: bool) -> np.ndarray:
    """The value and the gradients computed by the library: an array (1 + operands, points)."""
    space = {"f": f, "Expression": dy.Expression, "__name__": __name__}
    exec(formula.source(ANNOTATION), space)
    stated = {"x": lambda dy: 0 * dy} if formula.root.function == "digamma" else None  # for `single_functions`
    op = elementwise(reference=lambda *_: None, gradients=stated)(space[formula.name])
    arrays = [formula.values[name] for name in formula.operands]
    dy.renew_cg()
    if inputs:
        leaves = [dy.inputTensor(array) for array in arrays]
    else:
        leaves = [dy.Model().parameters_from_numpy(array) for array in arrays]
    result = op(*leaves)
    dy.sum_elems(result).backward(full=inputs)
    gradients = [leaf.gradient() if inputs else leaf.grad_as_array() for leaf in leaves]
    return np.array([result.npvalue(), *gradients])


def ours_until_error(some: list[tuple[int, Formula]]) -> tuple[list[np.ndarray], str]:
    """The library's results for some formulas, up to one that raises an error, and this error."""
    done: list[np.ndarray] = []
    try:
        for number, formula in some:
            done.append(ours(formula, number % 2 == 0))
    except Exception as error:
        return done, f"{type(error).__name__}: {error}"
    return done, ""


def all_ours(chosen: list[Formula]) -> tuple[dict[str, np.ndarray], list[str]]:
    """The library's results, and the formulas that raise errors.

    After an error a new process continues, because an op that does not compile makes later ones in its process fail.
    """
    found, problems, rest = {}, [], [*enumerate(chosen)]
    while rest:
        with ProcessPoolExecutor(1, CONTEXT) as pool:
            results, error = pool.submit(ours_until_error, rest[:CHUNK]).result()
        found |= {formula.name: result for (_, formula), result in zip(rest, results)}
        rest = rest[len(results) :]
        if error:
            lines = [line for line in error.splitlines() if not line.startswith("  ")]
            problems.append(rest[0][1].source(ANNOTATION) + "    # " + "\n    # ".join(lines[:1] + lines[-1:]))
            rest = rest[1:]
    return found, problems


def theirs(chosen, python: str | None) -> dict[str, np.ndarray]:
    """torch's results; nothing if no Python with torch is available."""
    if not python:
        return {}
    chosen = [formula for formula, *_ in chosen]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        asked = [(formula.name, formula.operands, formula.source()) for formula in chosen]
        (folder / "formulas.json").write_text(json.dumps(asked))
        np.savez(folder / "values.npz", **{one.name: np.array([one.values[k] for k in one.operands]) for one in chosen})
        subprocess.run([python, str(Path(__file__).with_name("formulas_torch.py")), name], check=True)
        with np.load(folder / "torch.npz") as found:
            return dict(found)


def errors(actual: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Relative errors of values and gradients; infinite where the result is not finite, NaN where nothing is expected.

    Args:
        expected: the lowest and the highest right number of each, on the last axis.
    """
    low, high = expected[..., 0], expected[..., 1]
    actual = actual.astype(np.float64)
    with np.errstate(all="ignore"):
        error = np.maximum(low - actual, actual - high) / np.maximum(abs(low), abs(high))
        error = np.where((actual >= low) & (actual <= high), 0, abs(error))
        small = np.maximum(abs(low), abs(high)) < SMALLEST  # results below the smallest normal number may be 0
        error = np.where(small, np.where(abs(actual) <= SMALLEST * (1 + ALLOWED), 0, np.inf), error)
    error[~np.isfinite(actual)] = np.inf
    error[~(np.maximum(abs(low), abs(high)) <= LARGEST)] = np.nan
    return error


@dataclass
class Miss:
    """A value or a gradient with a large error."""

    formula: Formula
    row: int  # 0: the value, k: the gradient of operand k - 1
    place: int
    true: float
    ours: float
    torch: float | None
    error: float
    both: bool | None  # whether torch is also off; None if unknown
    value_lost: bool  # whether the formula's value is not finite here, and torch also lost it
    reason: str = ""

    @property
    def what(self) -> str:
        return "value" if self.row == 0 else f"gradient of {self.formula.operands[self.row - 1]}"

    def __str__(self) -> str:
        values = ", ".join(f"{name}={value!r}" for name, value in point(self.formula, self.place).items())
        torch = "" if self.torch is None else f", torch {self.torch:.9g}"
        return f"{self.what} at {values}: true {self.true:.9g}, ours {self.ours:.9g}{torch}"


def loss(miss: Miss, count: int = JITTERS, **changes) -> float:
    """The relative change of a result if parts of the formula are rounded; see `jittered`."""
    values = point(miss.formula, miss.place)
    losses = [0.0]
    for sides, gradient in one_sided(miss.formula.root, values, miss.row):
        true = miss.true if gradient is None else gradient
        found = [jittered(miss.formula.root, values, seed, sides=sides, **changes)[miss.row] for seed in range(count)]
        if not np.isfinite(found).all():
            return np.inf
        losses.append(max(abs(np.array(found) - true)) / max(abs(true), SMALLEST))
    return max(losses)


def reason(miss: Miss) -> tuple[str, bool]:
    """Why a result loses digits, as far as can be found, and whether this is due to rounding."""
    if miss.row and miss.value_lost:
        return "the value is not finite, so that no gradient has a meaning", True
    root, enough = miss.formula.root, min(miss.error, 1) / ULPS
    nodes = root.beneath()
    if loss(miss) >= enough:
        parts = [node for node in nodes if node is not root and node.function not in CONDITIONS]
        by_part = [loss(miss, JITTERS // 3, only=node) for node in parts]
        if max(by_part, default=0) < enough / 10:
            return "rounding of several parts", True
        worst = parts[int(np.argmax(by_part))]
        users = sorted({node.function for node in nodes if worst in node.arguments})
        return f"rounding of {worst.function} is amplified by {' and '.join(users)}", True
    if found := beyond(root, point(miss.formula, miss.place), miss.row > 0):
        return found[0], False
    for function in sorted({node.function for node in nodes} & CANCELLING.keys()) if miss.row else ():
        if loss(miss, cancelling=function) >= enough:
            return f"the derivative of {function} cancels, if it is computed from its rounded value", False
    if loss(miss, alike=False) >= enough:
        return "equal numbers are not rounded alike", False
    return UNKNOWN, False


def chosen_formulas(count: int, seed: int, names, most: int, only: set[int]) -> list[tuple[Formula, np.ndarray, int]]:
    """The first formulas with enough values to compare, with the results of `truth`."""
    found, refused = [], 0
    for index, formula in enumerate(random_formulas(seed, names, most)):
        if len(found) == count or (only and index > max(only)):
            break
        if only and index not in only:
            continue
        true, left_out = truth(formula)
        size = abs(true[..., 1])
        known = (size >= SMALLEST) & (size <= LARGEST)
        if only or (known[0].sum() >= FEWEST and known[1:].any(0).sum() >= FEWEST):
            found.append((formula, true, left_out))
        else:
            refused += 1
    counts = collections.Counter(len(formula.operands) for formula, *_ in found)
    print(f"{len(found)} formulas; {refused} more have too few numbers to compare")
    print("operands: " + ", ".join(f"{formulas} formulas of {count}" for count, formulas in sorted(counts.items())))
    used = {node.function for formula, *_ in found for node in formula.root.beneath()}
    if unused := {*UNARY, "digamma", *SIGNS, *CONDITIONS, "where", "minimum", "maximum", "over_root"} - used:
        print("functions in none of them: " + ", ".join(sorted(unused)))
    return found


def where_off(chosen, peers) -> dict[str, np.ndarray]:
    """Where torch is off, given its results."""
    return {one.name: errors(peers[one.name], true) > ALLOWED for one, true, _ in chosen if one.name in peers}


def recorded(chosen) -> dict[str, np.ndarray]:
    """Where torch was off when RECORD was written: for each formula an array (1 + operands, points) of bools."""
    found, known = {}, json.loads(RECORD.read_text()) if RECORD.exists() else {}
    for formula, true, _ in chosen:
        if formula.name in known and known[formula.name]["source"] == formula.source():
            found[formula.name] = np.zeros(true.shape[:2], bool)
            for row, places in enumerate(known[formula.name]["off"]):
                found[formula.name][row, places] = True
    return found


def write(chosen, off: dict[str, np.ndarray]) -> None:
    """Write RECORD."""
    record = {
        one.name: {"source": one.source(), "off": [np.flatnonzero(row).tolist() for row in off[one.name]]}
        for one, *_ in chosen
    }
    lines = ",\n".join(f" {json.dumps(name)}: {json.dumps(what)}" for name, what in record.items())
    RECORD.write_text("{\n" + lines + "\n}\n")


def compared(chosen, results, peers, off) -> tuple[list[Miss], collections.Counter]:
    """The library's errors, and counts of all comparisons.

    Args:
        peers: torch's results, by the formula's name.
        off: where torch is off, by the formula's name.
    """
    totals, misses = collections.Counter(), []
    for formula, true, left_out in chosen:
        if formula.name not in results:
            continue
        wrong = errors(results[formula.name], true) > ALLOWED
        others = off.get(formula.name)
        totals["points"] += true.shape[1]
        totals["points left out, angle above 2^27"] += left_out
        totals["comparisons"] += (~np.isnan(true[..., 0])).sum()
        totals["off, ours"] += wrong.sum()
        if others is not None:
            totals["off, torch"] += others.sum()
            totals["off, torch only"] += (others & ~wrong).sum()
        for row, place in zip(*np.nonzero(wrong)):
            mine, (low, high) = float(results[formula.name][row, place]), true[row, place]
            numbers = (low if mine < high else high), mine  # at a tie, these two differ
            peer = float(peers[formula.name][row, place]) if formula.name in peers else None
            error = errors(results[formula.name][row, place], true[row, place])
            both = None if others is None else bool(others[row, place])
            lost = bool(others is not None and others[0, place] and not np.isfinite(results[formula.name][0, place]))
            misses.append(Miss(formula, row, place, *numbers, peer, float(error), both, lost))
    return misses, totals


def report(formula: Formula, true: np.ndarray, mine: np.ndarray, peer: np.ndarray | None) -> None:
    """Print the largest errors of values and of gradients, and where they are."""
    for row, name in enumerate(("value", *formula.operands)):
        texts = []
        for numbers in [mine[row]] if peer is None else [mine[row], peer[row]]:
            error = np.nan_to_num(errors(numbers, true[row]))
            place = int(np.argmax(error))
            at = ", ".join(f"{value:.9g}" for value in point(formula, place).values())
            texts.append(f"{error[place]:9.2e} at {at} ({(error > 1e-6).sum()} above 1e-6)")
        print(f"{formula.source().partition('return ')[2].strip():40} {name:6} {' | torch '.join(texts)}")


def listed(title: str, misses: list[Miss], most: int) -> None:
    """Print misses by reason, the most frequent first, with the shortest formulas of each."""
    print(f"\n{title}: {len(misses)}")
    groups = collections.defaultdict(list)
    for miss in misses:
        groups[miss.reason].append(miss)
    for why, group in sorted(groups.items(), key=lambda pair: -len(pair[1])):
        names = {miss.formula.name for miss in group}
        print(f"  {why}: {len(group)}, in {len(names)} formulas")
        group.sort(key=lambda miss: (len(miss.formula.source()), miss.place))
        first = [next(these) for _, these in itertools.groupby(group, key=lambda miss: miss.formula.name)]
        for miss in first[:most]:
            print("    " + miss.formula.source(ANNOTATION).strip().replace("\n", "\n    "))
            print(f"        {miss}")


def sorted_out(misses: list[Miss], most: int) -> dict[str, list[Miss]]:
    """Find the reasons of misses. Return groups of them by title; misses in the last group are failures.

    Args:
        most: the number of misses shared with torch that are examined.
    """
    both, lucky, known, wrong = [], [], [], []
    for number, miss in enumerate(sorted(misses, key=lambda miss: miss.both or False)):
        if miss.both and number >= most:
            miss.reason, rounding = "not looked into", False
        else:
            miss.reason, rounding = reason(miss)
        if miss.both:
            both.append(miss)
        elif rounding:
            lucky.append(miss)
        else:
            (known if miss.both is None and miss.reason != UNKNOWN else wrong).append(miss)
    return {
        "Torch loses digits, too": both,
        "Rounding loses the digits, torch is right by luck or not known": lucky,
        "There is a reason, torch is not known": known,
        "OURS IS OFF, TORCH IS NOT, OR NOT KNOWN": wrong,
    }


def shrink(wrong: list[Miss], python: str | None, most: int) -> None:
    """Print the subformulas that are off by themselves."""
    places: dict[int, set[int]] = collections.defaultdict(set)
    of = {id(miss.formula): miss.formula for miss in wrong}
    for miss in wrong:
        places[id(miss.formula)].add(miss.place)
    chosen = []
    for key, formula in of.items():
        for number, node in enumerate(formula.root.beneath()[:-1]):
            names = tuple(name for name in formula.operands if name in node.names())
            if names and not {"digamma", *CONDITIONS} & {part.function for part in node.beneath()}:
                values = {name: formula.values[name][sorted(places[key])] for name in names}
                part = Formula(f"{formula.name}_{number}", names, node, values)
                chosen.append((part, *truth(part)))
    results, _ = all_ours([part for part, *_ in chosen])
    peers = theirs(chosen, python)
    misses, _ = compared(chosen, results, peers, where_off(chosen, peers))
    title, wrong = [*sorted_out([miss for miss in misses if not miss.both], 0).items()][-1]
    listed(f"PARTS: {title}", wrong, most)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--names", default=",".join(NAMES), help="of operands, with commas between")
    parser.add_argument("--operands", type=int, default=5, help="at most so many")
    parser.add_argument("--functions", action="store_true", help="try each function alone, at many points")
    parser.add_argument(
        "--shrink", action="store_true", help="look for parts of the wrong formulas that are wrong, too"
    )
    parser.add_argument("--write", action="store_true", help=f"write {RECORD.name}, with torch")
    parser.add_argument("--only", default="", help="the numbers of formulas, with commas between")
    parser.add_argument("--examples", type=int, default=3, help="so many of each reason are printed")
    parser.add_argument("--reasons", type=int, default=1500, help="at most so many numbers are looked into")
    options = parser.parse_args(arguments)
    started = time.perf_counter()
    only = {int(index) for index in options.only.split(",") if index}
    if options.functions:
        chosen = [(one, *truth(one)) for one in single_functions()]
    else:
        names = tuple(options.names.split(","))
        chosen = chosen_formulas(options.count, options.seed, names, options.operands, only)
    print(f"exact numbers: {time.perf_counter() - started:.0f} s", flush=True)
    python = os.environ.get("TORCH_PYTHON")
    peers = theirs(chosen, python)
    off = where_off(chosen, peers) if python else recorded(chosen)
    if options.write:
        write(chosen, off)
        return 0
    if not python:
        print(f"*** TORCH_PYTHON IS NOT SET: TORCH IS KNOWN OF {len(off)} FORMULAS, FROM {RECORD.name} ***")
    started = time.perf_counter()
    results, problems = all_ours([formula for formula, *_ in chosen])
    print(f"ours: {time.perf_counter() - started:.0f} s", flush=True)
    if options.functions:
        for formula, true, _ in chosen:
            if formula.name in results:
                report(formula, true, results[formula.name], peers.get(formula.name))
    misses, totals = compared(chosen, results, peers, off)
    started = time.perf_counter()
    groups = sorted_out(misses, options.reasons)
    print(f"reasons: {time.perf_counter() - started:.0f} s")
    for name, number in totals.items():
        print(f"{name}: {number}")
    for title, group in groups.items():
        listed(title, group, options.examples)
    *_, wrong = groups.values()
    if options.shrink and wrong:
        shrink(wrong, python, options.examples)
    for problem in problems:
        print("\nERROR\n" + problem)
    counts = f"{totals['comparisons']} comparisons, {len(wrong)} wrong, {len(problems)} raise errors"
    print(f"\n{len(chosen)} formulas, {counts}")
    return bool(wrong or problems)


if __name__ == "__main__":
    sys.exit(main())
