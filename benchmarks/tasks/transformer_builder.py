"""The tagger of `transformer.py` by `TransformerEncoderLayerBuilder`, which DyNet lacks."""

from synthetic import VOCABULARY
from training import training_steps

from .transformer import HEADS, INNER, LAYERS, LONGEST, MODEL, TAGS, examples

ROWS = [("transformer_builder", (1, 16, 64), {})]


def make(dy, minibatch, seed):
    dy.reset_random_seed(seed)
    parameters = dy.ParameterCollection()
    words = parameters.add_lookup_parameters((VOCABULARY, MODEL))
    positions = dy.LearnedPositionsBuilder(MODEL, LONGEST, parameters)
    layers = [dy.TransformerEncoderLayerBuilder(MODEL, HEADS, INNER, parameters) for _ in range(LAYERS)]
    W = parameters.add_parameters((TAGS, MODEL))
    b = parameters.add_parameters(TAGS)
    batches = examples(minibatch, seed)

    def loss_of_sentence(sentence):
        x = dy.concatenate_cols([words[word] for word, _ in sentence]) + positions.vectors(len(sentence))
        for layer in layers:
            x = layer.encode(x)
        scores = dy.affine_transform([b, W, x])
        return dy.sum_elems(dy.pickneglogsoftmax(scores, [tag for _, tag in sentence]))

    def loss_of(batch):
        return dy.esum([loss_of_sentence(sentence) for sentence in batch])

    return training_steps(dy, parameters, batches, loss_of)
