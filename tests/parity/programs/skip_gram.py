"""Word vectors by skip-gram with negative sampling.

The quality is how often the word nearest to a noun, a verb and so on, of those with one tag only, has the same tag.
"""

import dynet_config

dynet_config.set(mem="256", random_seed=13)

import numpy as np
import toy_language
from training_report import Report

import dynet as dy

K, N, EMB_SIZE, EPOCHS = 3, 2, 64, 4  # negative samples, words of context on each side

report = Report()
corpus = [sentence.words for sentence in toy_language.sentences(600, 1)]
w2i, counts = {}, []
for words in corpus:
    for w in words:
        if w not in w2i:
            w2i[w] = len(w2i)
            counts.append(0)
        counts[w2i[w]] += 1
nwords = len(w2i)
counts = np.array(counts) ** 0.75
word_probabilities = counts / counts.sum()

model = dy.ParameterCollection()
W_word = model.add_lookup_parameters((nwords, EMB_SIZE), init=dy.UniformInitializer(0.5))
W_context = model.add_lookup_parameters((nwords, EMB_SIZE), init="uniform", scale=0.5)
trainer = dy.SimpleSGDTrainer(model, learning_rate=0.1)
rng = np.random.RandomState(3)


def calc_sent_loss(sent):
    dy.renew_cg()
    ids = [w2i[w] for w in sent]
    words_neg = rng.choice(nwords, size=(len(ids), 2 * N * K), p=word_probabilities)
    all_losses = []
    for i, my_word in enumerate(ids):
        positive = [ids[j] for j in range(max(0, i - N), min(len(ids), i + N + 1)) if j != i]
        negative = list(words_neg[i][: K * len(positive)])
        center = dy.lookup(W_word, my_word)
        pos = dy.dot_product(dy.lookup_batch(W_context, positive), center)
        neg = dy.dot_product(W_context.batch(negative), center)
        all_losses.append(-dy.sum_batches(dy.log(dy.logistic(pos))))
        all_losses.append(-dy.sum_batches(dy.log_sigmoid(-neg)))
    return dy.esum(all_losses)


for epoch in range(EPOCHS):
    for sent in corpus:
        loss = calc_sent_loss(sent)
        report.loss(loss.value() / len(sent))
        loss.backward()
        trainer.update()

tags = {}
for tag, words in toy_language.LEXICON.items():
    for w in words:
        tags.setdefault(w, []).append(tag)
certain = [w for w in w2i if len(tags[w]) == 1]
vectors = np.array([W_word.row_as_array(w2i[w]) for w in certain])
vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
similarity = vectors.dot(vectors.T) - 2 * np.eye(len(certain))
nearest = [certain[k] for k in similarity.argmax(axis=1)]
report.end(np.mean([tags[a] == tags[b] for a, b in zip(certain, nearest)]))
