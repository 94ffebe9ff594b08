"""An LSTM language model: embeddings of 128, 256 hidden units, 10,000 words; the batch dimension is used."""

import random

from synthetic import VOCABULARY, minibatches_by_length, sentences
from training import training_steps

ROWS = [("rnnlm", (1, 16, 64), {})]
STEPS = {1: 24, 16: 12, 64: 6}
"""Minibatches per turn, the same for all competitors because long sentences take eight times as long as short ones."""
EMBEDDING, HIDDEN = 128, 256
END = 0


def examples(minibatch, seed):
    rng = random.Random(seed)
    return minibatches_by_length(sentences(rng), minibatch, rng)


def make(dy, minibatch, seed):
    dy.reset_random_seed(seed)
    parameters = dy.ParameterCollection()
    words = parameters.add_lookup_parameters((VOCABULARY, EMBEDDING))
    lstm = dy.VanillaLSTMBuilder(1, EMBEDDING, HIDDEN, parameters)
    W = parameters.add_parameters((VOCABULARY, HIDDEN))
    b = parameters.add_parameters(VOCABULARY)
    batches = examples(minibatch, seed)

    def loss_of(batch):
        # Shorter sentences are padded with END; the mask keeps the padding out of the loss.
        length = len(batch[0])
        columns = zip(*(sentence + [END] * (length - len(sentence)) for sentence in batch))
        state = lstm.initial_state()
        losses = []
        previous = [END] * len(batch)
        for time, column in enumerate(columns):
            state = state.add_input(dy.lookup_batch(words, previous))
            scores = dy.affine_transform([b, W, state.output()])
            loss = dy.pickneglogsoftmax_batch(scores, column)
            mask = [float(time < len(sentence)) for sentence in batch]
            if 0.0 in mask:
                loss = dy.cmult(loss, dy.inputTensor([mask], batched=True))
            losses.append(loss)
            previous = column
        return dy.sum_batches(dy.esum(losses))

    return training_steps(dy, parameters, batches, loss_of)
