"""Word vectors from skip-gram with negative sampling.

The quality is how often a word's nearest neighbor has the same tag, among words with only one tag.
"""

import dynet_config

dynet_config.set(mem="256", random_seed=13)

import numpy as np
import toy_language
from training_report import Report

import dynet as dy

NEGATIVE, WINDOW, SIZE, EPOCHS = 3, 2, 64, 4

report = Report()
corpus = [sentence.words for sentence in toy_language.sentences(600, 1)]
vocabulary, counts = np.unique(np.concatenate(corpus), return_counts=True)
place = {word: k for k, word in enumerate(vocabulary)}
noise = counts**0.75 / np.sum(counts**0.75)

model = dy.ParameterCollection()
vectors = model.add_lookup_parameters((len(place), SIZE), init=dy.UniformInitializer(0.5))
contexts = model.add_lookup_parameters((len(place), SIZE), init="uniform", scale=0.5)
trainer = dy.SimpleSGDTrainer(model, learning_rate=0.1)
rng = np.random.RandomState(3)


def loss_of(sentence):
    dy.renew_cg()
    ids, terms = [place[word] for word in sentence], []
    for k, center in enumerate(ids):
        near = ids[max(0, k - WINDOW) : k] + ids[k + 1 : k + 1 + WINDOW]
        far = rng.choice(len(place), NEGATIVE * len(near), p=noise)
        x = dy.lookup(vectors, center)
        attracted = dy.dot_product(dy.lookup_batch(contexts, near), x)
        repelled = dy.dot_product(contexts.batch(list(far)), x)
        terms.append(-dy.sum_batches(dy.log(dy.logistic(attracted))))
        terms.append(-dy.sum_batches(dy.log_sigmoid(-repelled)))
    return dy.esum(terms)


for epoch in range(EPOCHS):
    for sentence in corpus:
        loss = loss_of(sentence)
        report.loss(loss.value() / len(sentence))
        loss.backward()
        trainer.update()

tags = {word: {tag for tag, words in toy_language.LEXICON.items() if word in words} for word in place}
certain = [word for word in place if len(tags[word]) == 1]
found = np.array([vectors.row_as_array(place[word]) for word in certain])
found /= np.linalg.norm(found, axis=1, keepdims=True)
nearest = (found.dot(found.T) - 2 * np.eye(len(certain))).argmax(axis=1)
report.end(np.mean([tags[word] == tags[certain[k]] for word, k in zip(certain, nearest)]))
