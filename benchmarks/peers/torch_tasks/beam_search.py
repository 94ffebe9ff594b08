"""The beam search in torch: the beam is a minibatch, and one read finds the best of all its continuations."""

import torch
from torch.nn import functional as F

from tasks.beam_search import BEAM, examples, longest
from tasks.seq2seq import END, TARGETS
from training import Steps

from .seq2seq import Translator


def make(initial, minibatch, seed):
    translator = Translator(initial)
    batches = examples(minibatch, seed)

    def search(sentence):
        memory, h, c = translator.read([sentence])
        words, totals, finished = torch.tensor([[END]]), torch.zeros(1), []
        for _ in range(longest(sentence)):
            gates = translator.gates_of(F.embedding(words[:, -1], translator.targets.table))
            h, c, context = translator.step(memory, h, c, gates)
            logs = torch.log_softmax(translator.scores(h, context), 1)
            totals, places = (logs + totals.unsqueeze(1)).flatten().topk(BEAM)
            numbers, last = places // TARGETS, places % TARGETS
            words = torch.cat([words.index_select(0, numbers), last.unsqueeze(1)], 1)
            ends = last == END
            if ends.any():
                finished += zip(totals[ends].tolist(), words[ends].tolist())
                totals, numbers, words = (part[~ends] for part in (totals, numbers, words))
            if not len(totals) or (finished and max(finished)[0] >= totals[0].item()):
                break
            h, c = h.index_select(0, numbers), c.index_select(0, numbers)
        total, words = max([*finished, *zip(totals.tolist(), words.tolist())])
        return words[1:], total

    @torch.inference_mode()
    def run():
        (sentence,) = next(batches)
        _, total = search(sentence)
        return -total

    return Steps(run, run)
