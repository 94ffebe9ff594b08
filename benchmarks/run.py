"""Times every task under real DyNet, torch, PyG, JAX, MLX and this project, one core, CPU time, and prints one table.

    DYNET_REFERENCE_PYTHON=/path/to/python-with-dyNET38 python benchmarks/run.py --tasks tagger xor --rounds 3

TORCH_PYTHON, PYG_PYTHON, JAX_PYTHON and MLX_PYTHON name interpreters with these libraries. Each competitor is a
separate process that lives for all rounds of a row. Rounds are interleaved (A B C A B C), so that changes in the
machine's speed affect all equally. Each figure is the median over the rounds. Compile time of JAX and MLX is excluded.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import drawing
import guard
import memory
import phases
from competitors import (
    BFLOAT16,
    PYTHONS,
    SAME_LOSS,
    TASKS,
    Competitor,
    Result,
    Row,
    Worker,
    cpu_model,
    find_competitors,
    measure,
    report_failures,
    rows_of,
    with_bfloat16,
)


def main() -> None:
    options = read_options()
    competitors = find_competitors(options.peers)
    if options.bf16:
        competitors = with_bfloat16(competitors)
    rows = rows_of(options.tasks)
    if options.memory:
        memory.print_table(rows, competitors)
        return
    if options.phases:
        phases.print_table(rows, options.rounds, options.seconds)
        return
    work = "infer" if options.inference else "train"
    print(f"{cpu_model()}, one core, CPU time; {work}; sentences/s (small: graphs, xor: examples)")
    print(line_of("task", "mb", [competitor.name for competitor in competitors], "ratio", "first loss"))
    results = []
    for row in rows:
        results.append(timed(row, competitors, options.rounds, options.seconds, work))
        print(line_of_result(results[-1]), flush=True)
    if differing := [str(result.row) for result in results if not result.agrees()]:
        sys.exit(f"first losses differ by more than {SAME_LOSS:g} of their size: {', '.join(differing)}")
    if options.draw:
        drawing.draw(results, options.draw, f"{cpu_model()}, one core; {work}")
    if options.record:
        guard.record({str(result.row): result.ratio("DyNet") for result in results}, options.recorded, cpu_model())
    if options.quick:
        guard_results(results, competitors, options)


def timed(row: Row, competitors: list[Competitor], rounds: int, seconds: float, work: str = "train") -> Result:
    workers: list[Worker] = measure(row, competitors, rounds, seconds, [work])
    report_failures(row, competitors, workers)
    losses = [
        worker.loss
        for competitor, worker in zip(competitors, workers)
        if competitor.kind == "dynet" and BFLOAT16 not in competitor.flags and worker.loss is not None
    ]
    speeds = {competitor.name: worker.speed() for competitor, worker in zip(competitors, workers)}
    return Result(row, speeds, losses)


def guard_results(results: list[Result], competitors: list[Competitor], options: argparse.Namespace) -> None:
    """Name the rows that were never recorded, and fail if this project is slower than recorded."""
    rows = {str(result.row): result.row for result in results}

    def measure_again(name: str) -> float | None:
        return timed(rows[name], competitors, 7, 2.5 * options.seconds).ratio("DyNet")

    ratios = {str(result.row): result.ratio("DyNet") for result in results}
    recorded = guard.load(options.recorded, cpu_model())
    if names := guard.unrecorded(ratios, recorded):
        print(f"no ratio recorded, so not guarded (--record records it): {'; '.join(names)}", file=sys.stderr)
    if fallen := guard.check(ratios, recorded, measure_again):
        sys.exit("\n".join(fallen))


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--tasks", nargs="+", choices=TASKS, default=TASKS, metavar="TASK", help=", ".join(TASKS))
    add(
        "--peers",
        nargs="*",
        choices=list(PYTHONS),
        metavar="PEER",
        help="of dynet, torch, pyg, jax, mlx (default: all)",
    )
    add("--rounds", type=int, default=3, help="rounds to take the median of (default: 3)")
    add(
        "--seconds",
        type=float,
        help="CPU time of one turn (default: 1, quick: 0.2); not of rnnlm, seq2seq, beam_search",
    )
    add("--inference", action="store_true", help="build and run forwards only, and read the loss")
    add("--bf16", action="store_true", help="also with factors in bfloat16: torch by autocast, and this project")
    add("--draw", metavar="FILE.svg", type=Path, help="draw the table too")
    add("--record", action="store_true", help="keep the ratios to DyNet, for --quick")
    add("--quick", action="store_true", help="short turns against DyNet alone; fail where a ratio fell by 15 %%")
    add("--recorded", metavar="FILE", type=Path, default=guard.RECORDED, help="where ratios are kept")
    add("--phases", action="store_true", help="print where this project's time goes instead")
    add("--memory", action="store_true", help="print peaks of memory instead")
    options = parser.parse_args()
    if options.quick and options.record:
        parser.error("--quick measures too briefly for --record")
    if options.inference and (options.quick or options.record):
        parser.error("what is recorded is training: --inference goes with neither --quick nor --record")
    if options.inference and (options.phases or options.memory):
        parser.error("--phases and --memory measure training: --inference goes with neither")
    options.seconds = options.seconds or (0.2 if options.quick else 1.0)
    if options.peers is None:
        options.peers = ["dynet"] if options.quick else list(PYTHONS)
    return options


def line_of_result(result: Result) -> str:
    ratio = result.ratio()
    firsts = " ".join(f"{loss:.6g}" for loss in result.losses)
    cells = [number(speed) for speed in result.speeds.values()]
    return line_of(result.row.name, result.row.minibatch, cells, f"{ratio:.2f}" if ratio else "-", firsts)


def line_of(name: str, minibatch: int | str, cells: list[str], ratio: str, firsts: str) -> str:
    return f"{name:20} {minibatch:>3} " + " ".join(f"{cell:>15}" for cell in cells) + f" {ratio:>6}  {firsts}"


def number(speed: float | None) -> str:
    if speed is None:
        return "-"
    return f"{speed:,.0f}" if speed >= 100 else f"{speed:.1f}"


if __name__ == "__main__":
    main()
