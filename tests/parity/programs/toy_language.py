"""Generates a toy language from a small grammar: sentences with tags, trees and heads, translations, and reviews.

The output of each function depends only on its count and seed, under every version of Python and numpy.
"""

from collections import namedtuple

import numpy as np

Sentence = namedtuple("Sentence", "words tags heads relations tree")
"""Lists of one item a word; heads count words from 1 and are 0 for the root. A tree is (label, child, ...) or
(tag, word)."""

LEXICON = {
    "DET": ["the", "a", "every", "no"],
    "ADJ": ["red", "light", "open", "cold", "old", "spare", "round"],
    "NOUN": ["light", "watch", "run", "cold", "guard", "round", "door", "river", "dog", "bird", "king", "letter"],
    "VERB": ["watch", "run", "open", "guard", "light", "spare", "finds", "sees", "likes", "paints"],
    "OF": ["of", "from"],
    "WITH": ["with", "by", "near"],
}
"""Many words have several tags, so that only their neighbours tell which."""
HEAD_OF = {"S": "VP", "VP": "VERB", "NP": "NOUN", "OFP": "OF", "WITHP": "WITH"}
RELATION_OF = {"NP": "argument", "DET": "determiner", "ADJ": "modifier", "OFP": "of", "WITHP": "with", "VP": "root"}


def chosen(rng, names):
    """One of the names; earlier ones are more likely."""
    return names[int(rng.random_sample() ** 1.5 * len(names))]


def expanded(rng, label):
    """A random tree for a label of the grammar."""
    if label in LEXICON:
        return label, chosen(rng, LEXICON[label])
    more = rng.random_sample() < 0.35
    if label == "S":
        children = ["NP", "VP"]
    elif label == "NP":
        children = ["DET", *["ADJ"] * int(rng.random_sample() < 0.4), "NOUN", *["OFP"] * int(more)]
    elif label == "VP":
        children = ["VERB", "NP", *["WITHP"] * int(more)]
    else:
        children = [label[:-1], "NP"]
    return (label, *[expanded(rng, child) for child in children])


def leaves(tree):
    """The (tag, word) pairs of a tree."""
    if isinstance(tree[1], str):
        return [tree]
    return [leaf for child in tree[1:] for leaf in leaves(child)]


def with_heads(tree, start=1):
    """The head of a tree, and (word, head, relation) of all other words in it; words are numbered from `start`."""
    if isinstance(tree[1], str):
        return start, []
    arcs, heads = [], []
    for child in tree[1:]:
        head, below = with_heads(child, start)
        heads.append((child[0], head))
        arcs += below
        start += len(leaves(child))
    top = next(head for label, head in heads if label == HEAD_OF[tree[0]])
    arcs += [(head, top, RELATION_OF[label]) for label, head in heads if head != top]
    return top, arcs


def sentence_of(tree):
    root, arcs = with_heads(tree)
    arcs = sorted([*arcs, (root, 0, "root")])
    tags, words = zip(*leaves(tree))
    return Sentence(list(words), list(tags), [arc[1] for arc in arcs], [arc[2] for arc in arcs], tree)


def sentences(count, seed, longest=14):
    """Sentences of at most this many words."""
    rng, found = np.random.RandomState(seed), []
    while len(found) < count:
        sentence = sentence_of(expanded(rng, "S"))
        if len(sentence.words) <= longest:
            found.append(sentence)
    return found


def extraposed(sentence):
    """The sentence with its subject's OF phrase, if any, moved to the end, which makes the tree non-projective."""
    subject = sentence.tree[1]
    if subject[-1][0] != "OFP":
        return sentence
    end = len(leaves(subject))
    begin = end - len(leaves(subject[-1]))
    order = [*range(begin), *range(end, len(sentence.words)), *range(begin, end)]
    place = {old + 1: new + 1 for new, old in enumerate(order)}
    place[0] = 0
    words, tags, heads, relations = [[column[k] for k in order] for column in sentence[:4]]
    return Sentence(words, tags, [place[head] for head in heads], relations, None)


def translated(tree):
    """The words of a tree in another language: the verb last, adjectives after nouns, different words for each tag."""
    if isinstance(tree[1], str):
        return [tree[1][::-1].upper() + ("" if tree[0] == "NOUN" else tree[0][:1].lower())]
    parts = list(tree[1:])
    if tree[0] in ("VP", "OFP", "WITHP"):
        parts = [*parts[1:], parts[0]]
    elif tree[0] == "NP" and parts[1][0] == "ADJ":
        parts[1], parts[2] = parts[2], parts[1]
    return [word for part in parts for word in translated(part)]


def translations(count, seed, longest=9):
    """Pairs of a sentence's words and their translation."""
    return [(sentence.words, translated(sentence.tree)) for sentence in sentences(count, seed, longest)]


OPINIONS = {"awful": -2, "dull": -1, "weak": -1, "slow": -1, "fine": 1, "fresh": 1, "warm": 1, "superb": 2}
FILLERS = ["the", "film", "plot", "and", "was", "music", "its", "with", "cast", "scene", "story", "of"]


def reviews(count, seed, classes=3):
    """Pairs of a review's words and its class: bad, fair or good. "not" reverses the opinion that follows it."""
    rng, found = np.random.RandomState(seed), []
    while len(found) < count:
        words, total = [], 0
        for _ in range(rng.randint(1, 4)):
            words += [chosen(rng, FILLERS) for _ in range(rng.randint(0, 4))]
            opinion = chosen(rng, list(OPINIONS))
            negated = rng.random_sample() < 0.3
            words += ["not"] * int(negated) + [opinion]
            total += -OPINIONS[opinion] if negated else OPINIONS[opinion]
        found.append((words, min(classes - 1, max(0, classes // 2 + int(np.sign(total))))))
    return found


def bars(count, seed, size=6):
    """Images of size * size pixels, 0 or 1, with noise, and their classes: which row or column is lit."""
    rng = np.random.RandomState(seed)
    classes = rng.randint(0, 2 * size, count)
    pictures = (rng.random_sample((count, size, size)) < 0.08).astype(float)
    for picture, label in zip(pictures, classes):
        if label < size:
            picture[label] = 1
        else:
            picture[:, label - size] = 1
    return pictures, classes


def opinion_trees(count, seed):
    """Binary trees of opinions, (class, word) or (class, left, right): a phrase is as good as its parts, "not" turns
    round what follows and "but" lets what follows decide. Classes are 0 (bad) to 4."""
    rng = np.random.RandomState(seed)

    def grown(depth):
        kind = rng.random_sample()
        if depth == 4 or (kind < 0.3 and depth):
            word = chosen(rng, list(OPINIONS) + FILLERS[:4])
            return OPINIONS.get(word, 0) + 2, word
        right = grown(depth + 1)
        if kind < 0.5:
            return 4 - right[0], (2, "not"), right
        if kind < 0.65:
            return right[0], grown(depth + 1), (right[0], (2, "but"), right)
        left = grown(depth + 1)
        return min(4, max(0, left[0] + right[0] - 2)), left, right

    return [grown(0) for _ in range(count)]
