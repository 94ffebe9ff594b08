"""The beam search in torch: the beam is a minibatch, and one read tells the best of all its continuations."""

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
        words, totals, finished = torch.tensor([END]), torch.zeros(1), []
        for _ in range(longest(sentence)):
            gates = translator.gates_of(F.embedding(words, translator.targets.table))
            h, c, context = translator.step(memory, h, c, gates)
            logs = torch.log_softmax(translator.scores(h, context), 1)
            totals, places = (logs + totals.unsqueeze(1)).flatten().topk(BEAM)
            words = places % TARGETS
            ends = words == END
            if ends.any():
                finished += totals[ends].tolist()
                totals, places, words = (part[~ends] for part in (totals, places, words))
            if not len(words) or (finished and max(finished) >= totals[0].item()):
                break
            numbers = places // TARGETS
            h, c = h.index_select(0, numbers), c.index_select(0, numbers)
        return max(finished + totals.tolist())

    @torch.inference_mode()
    def run():
        (sentence,) = next(batches)
        return -search(sentence)

    return Steps(run, run)
