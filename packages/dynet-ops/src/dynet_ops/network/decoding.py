"""The best tree of a sentence, by the scores of its arcs."""

from __future__ import annotations

from dynet_core.errors import NotFiniteError

from ..declare import *


def chu_liu_edmonds(scores: Numbers | Expression, single_root: bool = True) -> list[int]:
    """The heads of the best dependency tree of n words, the one whose arcs have the highest sum of scores.

    Args:
        scores: the score of each head of each word, (n + 1, n): row 0 is for ROOT, row i for word i, and column j - 1
            for word j. An array, a list of lists or an expression, such as the `scores` of a `BiaffineBuilder`. An arc
            of score -infinity is forbidden. What a word scores as its own head does not matter.
        single_root: ROOT is the head of exactly one word. False: of one or more.

    Returns:
        The head of each word: 0 for ROOT, i for word i. If several trees are best, always the same one.

    Raises:
        ShapeError: the scores have another shape.
        NotFiniteError: a score is NaN or infinity.
        ArgumentError: there is no tree without forbidden arcs.

    Source: Chu and Liu, "On the shortest arborescence of a directed graph", 1965; Edmonds, "Optimum branchings", 1967.
    It takes at most O(n^3) steps.

    >>> chu_liu_edmonds([[1, 5, 1], [0, 1, 1], [2, 0, 5], [5, 1, 0]])
    [3, 0, 2]
    """
    return _heads("chu_liu_edmonds", _best_tree, scores, single_root)


def eisner(scores: Numbers | Expression, single_root: bool = True) -> list[int]:
    """The heads of the best projective dependency tree: as `chu_liu_edmonds`, of the trees in which no arcs cross.

    ROOT stands before the first word, and its arcs may not cross others either. It takes O(n^3) steps.

    Args:
        scores: as for `chu_liu_edmonds`, (n + 1, n).
        single_root: as for `chu_liu_edmonds`.

    Returns:
        The head of each word: 0 for ROOT, i for word i. If several trees are best, always the same one.

    Raises:
        ShapeError: the scores have another shape.
        NotFiniteError: a score is NaN or infinity.
        ArgumentError: there is no projective tree without forbidden arcs.

    Source: Eisner, "Three new probabilistic models for dependency parsing: an exploration", 1996.

    >>> eisner([[1, 5, 1], [0, 1, 1], [2, 0, 5], [5, 1, 0]])  # in [3, 0, 2], the arc from 3 to 1 crosses that from ROOT
    [2, 0, 2]
    """
    return _heads("eisner", _best_projective_tree, scores, single_root)


def _heads(name: str, search: Callable, scores: Numbers | Expression, single_root: bool) -> list[int]:
    """Check arguments, return what `search` finds for s[head, word], which has a column for ROOT, and check that."""
    is_single = checked_flag(name, "single_root", single_root)
    values = scores.npvalue() if isinstance(scores, Expression) else scores
    array = with_rank(real_array(name, values, uneven=ShapeError, dtype=np.float64), 2)
    if len(array) < 2 or array.shape[1:] != (len(array) - 1,):
        raise ShapeError(f"{name}: scores of n words must be (n + 1, n), with ROOT in row 0, not {array.shape}")
    for head, word in np.argwhere(~(array < np.inf)):
        raise NotFiniteError(f"{name}: the score of head {head} of word {word + 1} is {array[head, word]}")
    s = np.pad(array / 2.0**32, ((0, 0), (1, 0)), constant_values=-np.inf)  # scaled, so that no sum overflows
    np.fill_diagonal(s, -np.inf)
    heads = search(s, is_single)[1:].tolist()
    if (s[heads, range(1, len(s))] == -np.inf).any() or (is_single and heads.count(0) > 1):
        raise ArgumentError(f"{name}: scores of -inf leave no tree{' with single_root=True' * is_single}")
    return heads


def _best_tree(s: np.ndarray, is_single: bool) -> np.ndarray:
    # Complex numbers are compared by real parts first. These count words under ROOT and, as worse, forbidden arcs.
    w = np.where(s > -np.inf, 0, -len(s)).T + 1j * np.maximum(s, -1e300).T  # w[word, head]
    w[:, 0] -= is_single
    np.fill_diagonal(w, -np.inf)
    owner, arcs, chosen = np.arange(len(s)), {}, []  # the node that each node became a part of; the best arc to a node
    for start in range(1, len(s)):
        path, node = [0], owner[start]
        while node:
            path.append(node)
            k, head = divmod(w[owner == node].argmax(), len(s))
            arcs[node] = np.flatnonzero(owner == node)[k], head
            node = owner[head]
            if node in path:  # a cycle becomes one node, and a path from ROOT becomes a part of ROOT
                cycle, path = path[path.index(node) :], path[: path.index(node)]
                for member in cycle[not node :]:
                    chosen.append((arcs[member], owner == member))
                    w[owner == member] -= w[arcs[member]]  # what another arc gains over this one
                owner[np.isin(owner, cycle)] = node
                w[np.ix_(owner == node, owner == node)] = -np.inf
    heads = np.full(len(s), -1)
    for (word, head), members in chosen[::-1]:
        if (heads[members] < 0).all():  # else an arc into the cycle replaces this one
            heads[word] = head
    return heads


def _best_projective_tree(s: np.ndarray, is_single: bool) -> np.ndarray:
    n = len(s)
    # complete[h, e]: the best score of head h with all words up to e; arc[h, m]: of the arc and what is between.
    (complete, arc), (turn, meeting) = np.zeros((2, n, n)), np.zeros((2, n, n), int)
    for k in range(1, n):
        low = np.arange(n - k)[:, None]
        high, between = low + k, low + np.arange(k)
        inner = complete[low, between] + complete[high, between + 1]
        meeting[low, high] = low + inner.argmax(1)[:, None]
        meeting[high, low] = meeting[low, high] + 1
        head, end, word = np.vstack([low, high]), np.vstack([high, low]), np.vstack([between + 1, between])
        arc[head, end] = s[head, end] + np.tile(inner.max(1), 2)[:, None]
        outer = arc[head, word] + complete[word, end]
        turn[head, end] = np.take_along_axis(word, outer.argmax(1)[:, None], 1)
        complete[head, end] = outer.max(1)[:, None]
        complete[0, k] -= np.inf if is_single else 0  # an arc from ROOT does not follow another one
    heads, spans = np.zeros(n, int), [(0, n - 1)]
    for h, e in spans:
        if h != e:
            m = turn[h, e]
            heads[m] = h
            spans += (h, meeting[h, m]), (m, meeting[m, h]), (m, e)
    return heads


__all__ = ["chu_liu_edmonds", "eisner"]
