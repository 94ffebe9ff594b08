"""The CoNLL-U reader on good and bad files."""

import conllu
import pytest

GOOD = (
    "# sent_id = 1\n"
    "1-2\tvámonos\t_\t_\t_\t_\t_\t_\t_\t_\n"
    "1\tvamos\tir\tVERB\t_\t_\t0\troot\t_\t_\n"
    "2\tnos\tnosotros\tPRON\t_\t_\t1\tobj\t_\t_\n"
    "2.1\tgone\t_\tVERB\t_\t_\t_\t_\t_\t_\n"
    "\n"
    "1\tMar\tmar\tNOUN\t_\t_\t0\troot\t_\t_\n"
)
WORD = "1\tMar\tmar\tNOUN\t_\t_\t0\troot\t_\t_\n"


@pytest.fixture
def written(tmp_path):
    def write(content):
        file = tmp_path / "some.conllu"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return file

    return write


@pytest.mark.parametrize("text", [GOOD, GOOD + "\n", GOOD.replace("\n", "\r\n"), "\ufeff" + GOOD, "\n\n" + GOOD])
def test_words_and_tags(written, text):
    assert conllu.read(written(text)) == [[("vamos", "VERB"), ("nos", "PRON")], [("Mar", "NOUN")]]


def test_form_with_unusual_characters_stays_one_word(written):
    odd = "a\u2028b\u00a0c"
    assert conllu.read(written(WORD.replace("Mar", odd))) == [[(odd, "NOUN")]]


@pytest.mark.parametrize(
    "content, line, reason",
    [
        ("", None, "holds no sentence"),
        ("\n\n# only a comment\n", None, "holds no sentence"),
        ("This is a letter.\n", 1, "expected 10 columns parted by tabs, found 1"),
        (WORD + WORD.replace("\t_\n", "\n"), 2, "expected 10 columns parted by tabs, found 9"),
        (WORD.rstrip("\n") + "\textra\n", 1, "found 11"),
        (WORD + WORD, 2, "expected word number 2, found '1'"),
        ("\n" + WORD.replace("1", "0", 1), 2, "expected word number 1, found '0'"),
        (WORD.replace("1", "one", 1), 1, "expected word number 1, found 'one'"),
        (WORD.replace("1\tMar", "1\t"), 1, "form (column 2) is empty"),
        (WORD.replace("NOUN", "_"), 1, "no tag (column 4)"),
        (WORD.replace("NOUN", ""), 1, "no tag (column 4)"),
        (WORD.encode() + b"\n\xff\xfe\n", 3, "not UTF-8"),
    ],
)
def test_what_is_wrong_and_where(written, content, line, reason):
    file = written(content)
    with pytest.raises(conllu.ConlluError) as caught:
        conllu.read(file)
    error = caught.value
    assert (error.file, error.line) == (str(file), line)
    assert reason in error.reason
    assert str(error).startswith(str(file)) and "\n" not in str(error)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(conllu.ConlluError, match="there is no such file"):
        conllu.read(tmp_path / "nowhere.conllu")
    with pytest.raises(conllu.ConlluError, match="cannot be read"):
        conllu.read(tmp_path)
