"""The synthetic data have the lengths, frequencies and structures that the benchmarks state."""

import random
import statistics
from collections import Counter

import numpy as np

import synthetic
from peers.shapes import AHEAD, different_shapes, rounded, shapes_of


def test_lengths():
    lengths = [len(sentence) for sentence in synthetic.sentences(random.Random(1))]
    assert min(lengths) >= 3 and max(lengths) <= 60
    assert 19 < statistics.mean(lengths) < 21
    assert 7 < statistics.stdev(lengths) < 9


def test_words_follow_zipf():
    word = synthetic.zipf(1000)
    rng = random.Random(1)
    counts = Counter(word(rng) for _ in range(50_000))
    assert max(counts) < 1000
    assert 1.8 < counts[0] / counts[1] < 2.2
    assert 8 < counts[0] / counts[9] < 12


def test_same_seed_same_data():
    first, second = (synthetic.sentences(random.Random(7), count=3) for _ in range(2))
    assert first == second


def test_tree_keeps_the_words_in_order():
    def leaves(tree):
        return [tree] if isinstance(tree, int) else [word for part in tree for word in leaves(part)]

    words = list(range(17))
    assert leaves(synthetic.binary_tree(words, random.Random(1))) == words


def test_transitions_leave_one_word():
    rng = random.Random(1)
    for length in range(1, 30):
        transitions = synthetic.arc_hybrid_transitions(length, rng)
        assert len(transitions) == 2 * length - 1
        stacked, waiting = 0, length
        for transition in transitions:
            if transition == synthetic.SHIFT:
                assert waiting
                stacked, waiting = stacked + 1, waiting - 1
            else:
                assert stacked and (waiting if transition == synthetic.LEFT else stacked > 1)
                stacked -= 1
        assert (stacked, waiting) == (1, 0)


def test_heads_are_a_projective_tree():
    rng = random.Random(1)
    for length in range(1, 30):
        heads = [0, *synthetic.projective_heads(length, rng)]
        assert heads[1:].count(0) == 1
        for word in range(1, length + 1):
            path = [word]
            while path[-1]:
                path.append(heads[path[-1]])
                assert len(path) <= length + 1  # no cycle
            # Every word between a word and its head is below that head.
            for between in range(min(word, heads[word]) + 1, max(word, heads[word])):
                while between not in (0, heads[word]):
                    between = heads[between]
                assert between == heads[word]


def test_lattice_has_the_sentence_and_other_paths():
    rng = random.Random(1)
    counts, degrees = [], []
    for length in range(1, 61):
        nodes = synthetic.lattice(list(range(length)), rng, lambda rng: 1000 + rng.randrange(100))
        own = [place for place, (word, _) in enumerate(nodes) if word < 1000]
        assert [nodes[place][0] for place in own] == list(range(length))
        for place, (_, before) in enumerate(nodes):
            assert len(set(before)) == len(before) and all(other < place for other in before)
        assert nodes[0][1] == [] and all(own[k] in nodes[own[k + 1]][1] for k in range(length - 1))
        counts.append(len(nodes) / length)
        degrees += [len(before) for _, before in nodes]
    assert 1.4 < statistics.mean(counts) < 1.55
    assert max(degrees) >= 3 and 1.3 < statistics.mean(degrees) < 1.6


def test_minibatches_cover_the_pool():
    batches = synthetic.minibatches(list(range(12)), 4, random.Random(1))
    for _ in range(2):
        assert sorted(number for _ in range(3) for number in next(batches)) == list(range(12))


def test_minibatches_by_length_start_with_the_longest():
    pool = synthetic.sentences(random.Random(1), count=64)
    batches = synthetic.minibatches_by_length(pool, 16, random.Random(1))
    seen = [next(batches) for _ in range(4)]
    assert all(len(batch[0]) == max(map(len, batch)) for batch in seen)
    assert sorted(map(tuple, sum(seen, []))) == sorted(map(tuple, pool))


def test_few_minibatches_by_length_are_like_all():
    pool = synthetic.sentences(random.Random(1))
    batches = synthetic.minibatches_by_length(pool, 64, random.Random(1))
    lengths = [statistics.mean(map(len, next(batches))) for _ in range(300)]
    of_ten = [statistics.mean(lengths[start : start + 10]) for start in range(290)]
    assert statistics.stdev(lengths) > 7
    assert statistics.stdev(of_ten) < 1.3  # a random order would give about 2


def test_peers_compile_for_each_combination_of_shapes_once():
    def batches():
        for number in range(1000):
            assert number < AHEAD // 64
            yield {"used": {"words": np.zeros(rounded(1 + number % 6))}, "counts": np.zeros((2, number % 3))}

    found = list(different_shapes(batches(), 64))
    assert [shapes_of(batch) for batch in found] == [
        (((4,),), (2, 0)), (((4,),), (2, 1)), (((4,),), (2, 2)), (((8,),), (2, 1)), (((8,),), (2, 2)),
    ]  # fmt: skip
