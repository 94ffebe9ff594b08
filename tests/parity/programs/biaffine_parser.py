"""A graph parser with biaffine scores and the Chu-Liu/Edmonds algorithm, on sentences with non-projective trees."""

import random

import dynet_config

dynet_config.set(mem=512, random_seed=26)

import numpy as np
import toy_language
from training_report import Report

import dynet as dy

EMB, LSTM, MLP = 64, 100, 64


def chu_liu_edmonds(scores):
    """The heads of the best tree; scores[h, m] is indexed by head and word, and the root is 0 with head -1."""
    n = len(scores)
    scores = scores.copy()
    np.fill_diagonal(scores, -np.inf)
    scores[:, 0] = -np.inf
    heads = scores.argmax(axis=0)
    heads[0] = -1
    for start in range(1, n):
        seen, node = [], start
        while node > 0 and node not in seen:
            seen.append(node)
            node = heads[node]
        if node <= 0:
            continue
        cycle = seen[seen.index(node) :]
        rest = [k for k in range(n) if k not in cycle]
        # The cycle becomes one node, the last. Entering it costs the cycle arc that is removed.
        gain = scores[:, cycle] - scores[heads[cycle], cycle]
        smaller = np.full((len(rest) + 1, len(rest) + 1), -np.inf)
        smaller[:-1, :-1] = scores[np.ix_(rest, rest)]
        smaller[:-1, -1] = gain[rest].max(axis=1)
        smaller[-1, :-1] = scores[np.ix_(cycle, rest)].max(axis=0)
        entering, leaving = gain[rest].argmax(axis=1), scores[np.ix_(cycle, rest)].argmax(axis=0)
        small_heads = chu_liu_edmonds(smaller)
        for m, h in enumerate(small_heads[:-1]):
            if m > 0:
                heads[rest[m]] = rest[h] if h < len(rest) else cycle[leaving[m]]
        heads[cycle[entering[small_heads[-1]]]] = rest[small_heads[-1]]
        return heads
    return heads


class BiaffineParser:
    def __init__(self, words, relations):
        self.w2i = {w: i for i, w in enumerate(["<root>"] + words)}
        self.relations = relations
        pc = self.pc = dy.ParameterCollection()
        self.embedding = pc.add_lookup_parameters((len(self.w2i), EMB), init=dy.NormalInitializer(0, 0.1))
        self.forward = dy.VanillaLSTMBuilder(1, EMB, LSTM, pc, forget_bias=0.0)
        self.backward = dy.VanillaLSTMBuilder(1, EMB, LSTM, pc, forget_bias=0.0)
        self.mlp = [pc.add_parameters((MLP, 2 * LSTM)) for _ in range(4)]
        self.mlp_bias = [pc.add_parameters((MLP,), init=dy.ConstInitializer(0)) for _ in range(4)]
        self.U_arc = pc.add_parameters((MLP, MLP + 1))
        self.U_rel = pc.add_parameters((len(relations) * MLP, MLP))
        self.W_rel = pc.add_parameters((len(relations), 2 * MLP))

    def run(self, sentence, drop=None):
        """Logits of heads, one column per word, and the vectors used to find relations."""
        dy.renew_cg()
        embedded = [dy.lookup(self.embedding, self.w2i[w]) for w in ["<root>"] + sentence.words]
        if drop is not None:
            masks = (drop.random_sample((len(embedded), EMB)) < 0.9) / 0.9
            embedded = [dy.cmult(e, dy.inputVector(mask)) for e, mask in zip(embedded, masks)]
        f = self.forward.initial_state().transduce(embedded)
        b = self.backward.initial_state().transduce(embedded[::-1])[::-1]
        top = dy.concatenate_cols([dy.concatenate([x, y]) for x, y in zip(f, b)])
        arc_h, arc_m, rel_h, rel_m = [
            dy.rectify(dy.affine_transform([bias, W, top])) for W, bias in zip(self.mlp, self.mlp_bias)
        ]
        ones = dy.inputTensor(np.ones((1, len(embedded)), dtype=np.float32))
        logits = dy.transpose(arc_h) * self.U_arc * dy.concatenate([arc_m, ones])
        return logits, rel_h, rel_m

    def relation_logits(self, rel_h, rel_m, heads):
        """Return a batch of vectors, one per word."""
        count = len(heads)
        h = dy.reshape(dy.select_cols(rel_h, heads), (MLP,), batch_size=count)
        m = dy.reshape(dy.select_cols(rel_m, range(1, count + 1)), (MLP,), batch_size=count)
        bilinear = dy.transpose(dy.reshape(self.U_rel * m, (MLP, len(self.relations)))) * h
        return bilinear + self.W_rel * dy.concatenate([h, m])

    def loss(self, sentence, drop):
        logits, rel_h, rel_m = self.run(sentence, drop)
        count = len(sentence.words)
        columns = dy.reshape(dy.select_cols(logits, list(range(1, count + 1))), (count + 1,), count)
        arc_loss = dy.sum_batches(dy.pickneglogsoftmax_batch(columns, sentence.heads))
        relations = [self.relations.index(r) for r in sentence.relations]
        rel_logits = self.relation_logits(rel_h, rel_m, sentence.heads)
        rel_loss = dy.sum_batches(dy.pickneglogsoftmax_batch(rel_logits, np.array(relations)))
        return (arc_loss + rel_loss) / count

    def parse(self, sentence):
        logits, rel_h, rel_m = self.run(sentence)
        heads = chu_liu_edmonds(logits.npvalue())[1:]
        return heads, self.relation_logits(rel_h, rel_m, list(heads)).npvalue().argmax(axis=0)


report = Report()
train, dev = [[toy_language.extraposed(s) for s in toy_language.sentences(n, k)] for n, k in ((300, 1), (60, 2))]
words, relations = [sorted({x for s in train + dev for x in s[field]}) for field in (0, 3)]
parser = BiaffineParser(words, relations)
trainer = dy.AdamTrainer(parser.pc, 0.002, 0.9, 0.9)
random.seed(14)
masks = np.random.RandomState(7)
for epoch in range(3):
    trainer.learning_rate = 0.002 * 0.75 ** (epoch / 5.0)
    random.shuffle(train)
    for sentence in train:
        loss = parser.loss(sentence, masks)
        report.loss(loss.value())
        loss.backward()
        trainer.update()
right = []
for sentence in dev:
    heads, labels = parser.parse(sentence)
    right += [
        h == g and relations[label] == r for h, label, g, r in zip(heads, labels, sentence.heads, sentence.relations)
    ]
report.end(np.mean(right))
