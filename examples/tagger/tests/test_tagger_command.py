"""The tagger's command line, each case in a process of its own."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "train.py"
LAST_LINE = re.compile(r"dev accuracy (\d\.\d{4})")


def run(*arguments):
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=300)


def accuracy(result):
    assert result.returncode == 0, result.stderr
    return float(LAST_LINE.fullmatch(result.stdout.splitlines()[-1]).group(1))


def assert_one_sentence(result, *parts):
    assert result.returncode == 2
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    for part in parts:
        assert str(part) in result.stderr


def test_training_learns_saves_and_tags(corpus, tmp_path):
    model = tmp_path / "some model"
    training = run("--train", corpus, "--epochs", 8, "--minibatch", 4, "--save", model, "--dynet-mem", 200)
    assert accuracy(training) == 1.0
    assert sum(line.startswith("epoch ") for line in training.stdout.splitlines()) == 8
    assert "epoch 1" in training.stderr, "the progress bar is missing"
    tagging = run("--model", model, "--tag", "the dog hears a cat.")
    assert tagging.returncode == 0, tagging.stderr
    assert tagging.stdout == "the/DET dog/NOUN hears/VERB a/DET cat/NOUN ./PUNCT\n"


def test_same_seed_same_run(corpus):
    first, second, other = (run("--train", corpus, "--epochs", 2, "--seed", seed) for seed in (3, 3, 4))

    def losses(result):
        return re.findall(r"loss (\S+),", result.stdout)

    assert losses(first) == losses(second) != losses(other)


def test_the_treebank_is_the_default(treebank):
    result = run("--limit", 40, "--epochs", 1)
    assert 0 <= accuracy(result) <= 1
    assert result.stdout.startswith("36 sentences to learn from, 4 held out")


def test_missing_file(tmp_path):
    assert_one_sentence(run("--train", tmp_path / "no.conllu"), tmp_path / "no.conllu", "no such file")


def test_not_conllu(tmp_path):
    letter = tmp_path / "letter.txt"
    letter.write_text("Dear all,\nthis is prose.\n", "utf-8")
    assert_one_sentence(run("--train", letter), letter, "sentence 1", "tabs")


def test_empty_file(tmp_path):
    empty = tmp_path / "empty.conllu"
    empty.write_text("", "utf-8")
    assert_one_sentence(run("--train", empty), empty, "holds no sentence")


def test_one_good_file_does_not_hide_a_bad_one(corpus, tmp_path):
    assert_one_sentence(run("--train", corpus, tmp_path / "no.conllu"), "no such file")


def test_too_few_sentences(corpus):
    assert_one_sentence(run("--train", corpus, "--limit", 1), "at least 2 sentences")


def test_folder_to_save_in_is_missing(corpus, tmp_path):
    assert_one_sentence(run("--train", corpus, "--save", tmp_path / "no" / "model"), "no such folder")


def test_model_is_missing(tmp_path):
    assert_one_sentence(run("--model", tmp_path / "no", "--tag", "the cat"), tmp_path / "no", "no such file")


def test_nothing_to_tag(tmp_path):
    assert_one_sentence(run("--model", tmp_path / "no", "--tag", "  "), "holds no word")


@pytest.mark.few(each=4)
@pytest.mark.parametrize("vocabulary", ["not json", "[]", '{"words": []}', '{"words": [], "chars": [], "tags": ["X"]}'])
def test_model_is_damaged(tmp_path, vocabulary):
    model = tmp_path / "model"
    model.write_text("#Parameter# /_0 {3} 5", "utf-8")
    model.with_name("model.json").write_text(vocabulary, "utf-8")
    assert_one_sentence(run("--model", model, "--tag", "the cat"), model, "not a saved tagger")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--epochs", "0"],
        ["--limit", "-3"],
        ["--minibatch", "many"],
        ["--dev-fraction", "1.5"],
        ["--tag", "the cat"],
        ["--model", "model"],
        ["--unheard-of"],
    ],
)
def test_wrong_options(arguments):
    result = run(*arguments)
    assert result.returncode == 2
    assert "train.py: error:" in result.stderr.splitlines()[-1]


@pytest.mark.mpi
def test_several_processes_train_as_one(corpus, ranks_of, tmp_path):
    """With 3 of them, some have no sentence of the last minibatch."""

    def figures(lines):
        return [re.sub(r", [\d,]+ words/s", "", line) for line in lines if "saved" not in line]

    options = ["--train", corpus, "--epochs", 2, "--minibatch", 4, "--save", tmp_path / "model"]
    alone = run(*options)
    assert figures(ranks_of(3, *options)) == figures(alone.stdout.splitlines())
    assert (tmp_path / "model").exists()


def test_one_process_with_mpi_trains_as_without(corpus):
    with_it, without = (run("--train", corpus, "--epochs", 1, *more) for more in (["--mpi"], []))
    assert accuracy(with_it) == accuracy(without)
