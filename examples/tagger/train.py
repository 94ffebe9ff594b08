"""Train the part-of-speech tagger on CoNLL-U files, or tag a sentence with a saved one:

    python train.py --epochs 3 --save tagger.model
    python train.py --model tagger.model --tag "Burun kemiğimde eğrilik yok."

Without files it learns from the Turkish Web Treebank of the package turkish-treebanks. Several processes share the work
by MPI:

    mpiexec -n 4 python train.py --mpi
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import treebank  # noqa: E402

if TYPE_CHECKING:
    from model import Sentence, Tagger

    import dynet as dy


class InputError(Exception):
    """What the user gave cannot be used; the message is one sentence that says why."""


def main() -> None:
    options = read_options(without_dynet_flags(sys.argv[1:]))
    try:
        if options.tag is None:
            train(options)
        else:
            print(tag(options.tag, options.model))
    except (treebank.CorpusError, InputError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def read_options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--train",
        nargs="+",
        type=Path,
        metavar="FILE",
        help=f"CoNLL-U files to learn from (default: the treebank of the package {treebank.PACKAGE})",
    )
    parser.add_argument("--epochs", type=positive, default=5, help="passes over the data (default: 5)")
    parser.add_argument("--limit", type=positive, metavar="N", help="use N sentences only, chosen by the seed")
    parser.add_argument("--minibatch", type=positive, default=8, help="sentences a graph (default: 8)")
    parser.add_argument("--seed", type=positive, default=1, help="of parameters and order (default: 1)")
    parser.add_argument("--dev-fraction", type=fraction, default=0.1, help="share of sentences held out (default: 0.1)")
    parser.add_argument("--save", type=Path, metavar="PATH", help="write the model here, its vocabulary to PATH.json")
    parser.add_argument("--mpi", action="store_true", help="share each minibatch among the processes that MPI starts")
    parser.add_argument("--tag", metavar="SENTENCE", help="tag this sentence with the model of --model; no training")
    parser.add_argument("--model", type=Path, metavar="PATH", help="a model that --save wrote")
    options = parser.parse_args(arguments)
    if (options.tag is None) != (options.model is None):
        parser.error("--tag and --model go together")
    return options


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number


def fraction(text: str) -> float:
    number = float(text)
    if not 0 < number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return number


def without_dynet_flags(arguments: Sequence[str]) -> list[str]:
    """`--dynet-seed 3` and the like are read by `import dynet` and left in sys.argv: not ours to judge."""
    rest: list[str] = []
    value_may_follow = False
    for argument in arguments:
        if argument.startswith("--dynet"):
            value_may_follow = "=" not in argument
        elif value_may_follow and not argument.startswith("--"):
            value_may_follow = False
        else:
            value_may_follow = False
            rest.append(argument)
    return rest


def train(options: argparse.Namespace) -> None:
    training, dev = read_data(options)
    if options.save and not options.save.absolute().parent.is_dir():
        raise InputError(f"{options.save}: there is no such folder to save in")

    # Not at the top: what is wrong with the input is said before DyNet starts.
    from model import Tagger, Vocabulary

    import dynet as dy

    dy.reset_random_seed(options.seed)
    tagger = Tagger(Vocabulary.of(training))
    trainer = dy.AdamTrainer(tagger.parameters)
    share, total, rank = list, float, 0
    if options.mpi:
        trainer = dy.DataParallel(trainer)
        share, total, rank = trainer.share, trainer.total, trainer.rank
    order = random.Random(options.seed)
    accuracy = 0.0
    if rank == 0:
        print(f"{len(training)} sentences to learn from, {len(dev)} held out")
    for epoch in range(1, options.epochs + 1):
        order.shuffle(training)
        start = time.perf_counter()
        batches = minibatches(training, options.minibatch, f"epoch {epoch}", rank == 0)
        loss = total(train_epoch(tagger, trainer, map(share, batches)))
        words = sum(map(len, training))
        speed = words / (time.perf_counter() - start)
        right = total(measure(tagger, minibatches(share(dev), options.minibatch, "dev", rank == 0)))
        accuracy = right / sum(map(len, dev))
        figures = f"loss {loss / words:.4f}, {speed:,.0f} words/s, dev accuracy {accuracy:.4f}"
        if rank == 0:
            print(f"epoch {epoch}: {figures}", flush=True)
    if rank == 0:
        if options.save:
            save(tagger, options.save)
        print(f"dev accuracy {accuracy:.4f}")


def read_data(options: argparse.Namespace) -> tuple[list[Sentence], list[Sentence]]:
    """The sentences to learn from and those held out."""
    trees = [sentence for file in options.train or treebank.files() for sentence in treebank.read_file(file)]
    sentences = [[(word.form, word.tag) for word in sentence] for sentence in trees]
    random.Random(options.seed).shuffle(sentences)
    sentences = sentences[: options.limit]
    if len(sentences) < 2:
        raise InputError("at least 2 sentences are needed, one to learn from and one to hold out")
    held_out = min(max(1, round(len(sentences) * options.dev_fraction)), len(sentences) - 1)
    return sentences[held_out:], sentences[:held_out]


def minibatches(sentences: Sequence[Sentence], size: int, title: str, shown: bool) -> Iterator[Sequence[Sentence]]:
    """Parts of the sentences, with a progress bar if that is to be shown."""
    with tqdm(
        total=len(sentences), desc=title, unit=" sentences", leave=False, file=sys.stderr, disable=not shown
    ) as bar:
        for start in range(0, len(sentences), size):
            minibatch = sentences[start : start + size]
            yield minibatch
            bar.update(len(minibatch))


def train_epoch(tagger: Tagger, trainer: dy.Trainer | dy.DataParallel, batches: Iterator[Sequence[Sentence]]) -> float:
    """One pass of updates; the summed loss. A process whose part of a minibatch is empty updates all the same."""
    total = 0.0
    for sentences in batches:
        if sentences:
            loss = tagger.loss(sentences)
            total += loss.value()
            loss.backward()
        trainer.update()
    return total


def measure(tagger: Tagger, batches: Iterator[Sequence[Sentence]]) -> int:
    """The number of words whose best tag is the right one."""
    right = 0
    for sentences in batches:
        guesses = tagger.tag([[word for word, _ in sentence] for sentence in sentences])
        for sentence, guessed in zip(sentences, guesses):
            right += sum(wanted == guess for (_, wanted), guess in zip(sentence, guessed))
    return right


def save(tagger: Tagger, file: Path) -> None:
    try:
        tagger.save(file)
    except (OSError, RuntimeError) as error:
        raise InputError(f"{file}: the model cannot be written ({error})") from None
    print(f"saved to {file}")


def tag(text: str, file: Path) -> str:
    """The words of the text, each with its tag: `word/TAG word/TAG`."""
    words = re.findall(r"\w+(?:['’]\w+)*|[^\w\s]", text)
    if not words:
        raise InputError("the sentence to tag holds no word")
    for needed in (file, Path(f"{file}.json")):
        if not needed.is_file():
            raise InputError(f"{needed}: there is no such file; --save writes it")

    from model import Tagger

    try:
        tagger = Tagger.load(file)
    except (OSError, RuntimeError, ValueError, TypeError) as error:
        raise InputError(f"{file}: this is not a saved tagger ({error})") from None
    return " ".join("/".join(pair) for pair in zip(words, tagger.tag([words])[0]))


if __name__ == "__main__":
    main()
