"""Catalog of the programs in this folder, with the quality that each must reach under both libraries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

ACCURACY, PERPLEXITY = "accuracy", "perplexity"


@dataclass(frozen=True)
class Program:
    """A program, in the file `name`.py; `what` describes it.

    Its quality, measured by `measure`, must be `at_least` or `at_most` a value, and differ by at most `distance`
    between the libraries. `environment` holds the environment variables that its process needs here.
    """

    name: str
    what: str
    measure: str = ACCURACY
    at_least: float | None = None
    at_most: float | None = None
    distance: float = 0.05
    environment: Mapping[str, str] = field(default_factory=dict)

    def is_good(self, quality: float) -> bool:
        """Whether a quality meets the threshold."""
        if self.at_most is not None:
            return quality <= self.at_most
        return self.at_least is not None and quality >= self.at_least


PROGRAMS = (
    Program("bag_of_words", "bag of words classifier", at_least=0.5, distance=0.02),
    Program("cbow", "classifier of summed word vectors", at_least=0.8, distance=0.03),
    Program("cnn", "classifier of convolutions", at_least=0.8, distance=0.03),
    Program("skip_gram", "skip-gram with negative sampling", "neighbours of the same tag", at_least=0.6, distance=0.1),
    Program("log_linear_lm", "log-linear language model", PERPLEXITY, at_most=11, distance=0.2),
    Program("feed_forward_lm", "feed-forward language model, dropout", PERPLEXITY, at_most=10, distance=0.5),
    Program("rnn_lm", "recurrent language model of characters", PERPLEXITY, at_most=1.8, distance=0.1),
    Program("minibatched_lm", "LSTM language model in minibatches, dropout", PERPLEXITY, at_most=9, distance=0.5),
    Program("bilstm_tagger", "BiLSTM tagger with characters", at_least=0.98),
    Program("bilstm_crf", "BiLSTM-CRF tagger", at_least=0.98),
    Program("structured_perceptron", "tagger by structured perceptron", at_least=0.98),
    Program("seq2seq", "translation by attention, dropout, beam search", "exact match", at_least=0.7, distance=0.2),
    Program("stack_lstm_parser", "stack-LSTM parser", "UAS", at_least=0.95),
    Program("arc_hybrid_parser", "arc-hybrid parser, dynamic oracle", "UAS", at_least=0.9),
    Program("eisner_parser", "graph parser, Eisner's algorithm", "UAS", at_least=0.9),
    Program("biaffine_parser", "biaffine parser, Chu-Liu/Edmonds", "LAS", at_least=0.9),
    Program(
        "span_parser",
        "span parser that saves a class of its own",
        "F1",
        at_least=0.95,
        environment={"DYNET_ALLOW": "__main__.Vocabulary"},
    ),
    Program("tree_lstm", "TreeLSTM", at_least=0.9),
    Program("vae", "variational autoencoder", "bound, nats", at_most=16, distance=0.5),
    Program("reinforce", "REINFORCE with a baseline", "goals reached", at_least=0.9, distance=0.1),
    Program("transformer", "transformer, layer and batch normalisation", at_least=0.8, distance=0.06),
    Program("batch_norm_cnn", "CNN for pictures, batch normalisation", at_least=0.95),
    Program("hogwild", "two processes, one model", at_least=0.95),
)
