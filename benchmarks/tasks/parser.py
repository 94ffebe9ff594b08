"""A greedy arc-hybrid parser: two BiLSTM layers of 128 each way, an MLP over four words of the state.

One kind reads the scores at every transition, as a parser that follows its own predictions must. The blind kind follows
the correct transitions and reads only the loss.
"""

import random

from synthetic import SHIFT, VOCABULARY, arc_hybrid_transitions, minibatches, minibatches_by_length, sentences
from training import training_steps

ROWS = [
    ("parser, scores read", (1,), {"read": True, "by_length": True}),
    ("parser, blind", (1, 10, 64), {"read": False, "by_length": True}),
    ("parser, blind, any lengths", (10, 64), {"read": False, "by_length": False}),
]
EMBEDDING, HIDDEN, MLP, TRANSITIONS = 128, 128, 64, 3


def examples(minibatch, seed, by_length=True):
    rng = random.Random(seed)
    pool = [(sentence, arc_hybrid_transitions(len(sentence), rng)) for sentence in sentences(rng)]
    if by_length:
        return minibatches_by_length(pool, minibatch, rng, lambda example: len(example[0]))
    return minibatches(pool, minibatch, rng)


def make(dy, minibatch, seed, read, by_length=True):
    dy.reset_random_seed(seed)
    parameters = dy.ParameterCollection()
    words = parameters.add_lookup_parameters((VOCABULARY, EMBEDDING))
    reader = dy.BiRNNBuilder(2, EMBEDDING, 2 * HIDDEN, parameters, dy.VanillaLSTMBuilder)
    nothing = parameters.add_parameters(2 * HIDDEN)
    W = parameters.add_parameters((MLP, 4 * 2 * HIDDEN))
    b = parameters.add_parameters(MLP)
    V = parameters.add_parameters((TRANSITIONS, MLP))
    c = parameters.add_parameters(TRANSITIONS)
    batches = examples(minibatch, seed, by_length)

    def losses_of(sentence, transitions):
        waiting = reader.transduce([words[word] for word in sentence])[::-1]
        stack = [nothing] * 3
        mistakes = 0
        for transition in transitions:
            state = dy.concatenate([stack[-3], stack[-2], stack[-1], waiting[-1] if waiting else nothing])
            scores = dy.affine_transform([c, V, dy.tanh(dy.affine_transform([b, W, state]))])
            if read:
                mistakes += scores.npvalue().argmax() != transition
            yield dy.pickneglogsoftmax(scores, transition)
            if transition == SHIFT:
                stack.append(waiting.pop())
            else:  # the top of the stack gets its head: the next word (LEFT) or the one below it (RIGHT)
                stack.pop()

    def loss_of(batch):
        return dy.esum([loss for example in batch for loss in losses_of(*example)])

    return training_steps(dy, parameters, batches, loss_of)
