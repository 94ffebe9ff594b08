"""Code that the torch tasks share: parameters, lookups with sparse Adam updates, bidirectional LSTMs, steps."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from peers.padding import Padded
from training import CLIP, Steps

torch.set_num_threads(1)
AUTOCAST = torch.autocast("cpu", torch.bfloat16, enabled="--dynet-bf16" in sys.argv)
RATE, BETA_1, BETA_2, EPSILON = 0.001, 0.9, 0.999, 1e-8


class Lookup:
    """A lookup table. The rows of a minibatch are a leaf tensor, so only these rows get gradients and updates.

    Equivalent to `nn.Embedding(sparse=True)` with `SparseAdam`, without the overhead of sparse tensors.
    """

    def __init__(self, values: np.ndarray):
        self.table = torch.from_numpy(values)
        self.mean, self.square = torch.zeros_like(self.table), torch.zeros_like(self.table)

    def use(self, numbers: np.ndarray) -> np.ndarray:
        """Declare the rows that the minibatch uses, and return the positions of `numbers` among them."""
        used, places = np.unique(numbers, return_inverse=True)
        self.used = torch.from_numpy(used)
        self.rows = self.table.index_select(0, self.used).requires_grad_(torch.is_grad_enabled())
        return places.reshape(numbers.shape)

    def __call__(self, places: np.ndarray) -> Tensor:
        return F.embedding(torch.from_numpy(places), self.rows)

    def update(self, step: int) -> None:
        gradient = self.rows.grad
        mean = self.mean.index_select(0, self.used).lerp_(gradient, 1 - BETA_1)
        square = self.square.index_select(0, self.used).mul_(BETA_2).addcmul_(gradient, gradient, value=1 - BETA_2)
        self.mean.index_copy_(0, self.used, mean)
        self.square.index_copy_(0, self.used, square)
        correction = math.sqrt(1 - BETA_2**step)
        rate = RATE / (1 - BETA_1**step)
        change = mean.div_(square.sqrt_().div_(correction).add_(EPSILON))
        self.table.index_copy_(0, self.used, self.rows.detach().sub_(change, alpha=rate))


def weight(values: np.ndarray) -> nn.Parameter:
    return nn.Parameter(torch.from_numpy(values))


def lstm(initial, inputs: int, hidden: int) -> nn.LSTM:
    """Return an LSTM. torch orders the gates i, f, g, o, and its second bias stays zero."""
    network = nn.LSTM(inputs, hidden)
    Wx, Wh, b = (torch.from_numpy(np.concatenate([*np.split(w, 4)[:2], w[3 * hidden :], w[2 * hidden : 3 * hidden]]))
                 for w in initial.lstm(inputs, hidden))  # fmt: skip
    with torch.no_grad():
        for parameter, value in zip(network.parameters(), (Wx, Wh, b, torch.zeros_like(b))):
            parameter.copy_(value)
    network.bias_hh_l0.requires_grad_(False)
    return network


def trained(network: nn.LSTM) -> list[nn.Parameter]:
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


class BothWays:
    """An LSTM for each direction. Padding comes last in both, so padded sequences need no packing.

    torch runs packed sequences step by step, but padded ones in one oneDNN call, which takes half as long even if
    almost half of the items are padding.
    """

    def __init__(self, initial, inputs: int, hidden: int):
        self.forward, self.backward = lstm(initial, inputs, hidden), lstm(initial, inputs, hidden)

    def parameters(self) -> list[nn.Parameter]:
        return [*trained(self.forward), *trained(self.backward)]

    def run(self, forward: Tensor, backward: Tensor) -> tuple[Tensor, Tensor]:
        """Return the flat outputs for flat inputs in the two orders."""
        return self.forward(forward)[0].flatten(0, 1), self.backward(backward)[0].flatten(0, 1)

    def at_items(self, forward: Tensor, backward: Tensor, padded: Padded) -> Tensor:
        """Return the outputs of both at every item, one row each."""
        outputs = self.run(forward, backward)
        places = torch.from_numpy(padded.forward), torch.from_numpy(padded.backward)
        return torch.cat([output.index_select(0, place) for output, place in zip(outputs, places)], 1)


def training_steps(
    parameters: list[nn.Parameter],
    lookups: list[Lookup],
    batches: Iterator[list],
    loss_of: Callable[[list], Tensor],
    clip: bool = False,
) -> Steps:
    """Return steps with Adam, which is fused for dense parameters."""
    trainer = torch.optim.Adam(parameters, RATE, (BETA_1, BETA_2), EPSILON, fused=True)
    updates = 0

    @torch.no_grad()
    def update_lookups() -> None:
        for lookup in lookups:
            if lookup.rows.grad is not None:
                lookup.update(updates)

    def train() -> float:
        nonlocal updates
        updates += 1
        trainer.zero_grad()
        with AUTOCAST:
            loss = loss_of(next(batches))
        loss.backward()
        if clip:
            nn.utils.clip_grad_norm_([*parameters, *(lookup.rows for lookup in lookups)], CLIP, foreach=True)
        trainer.step()
        update_lookups()
        return loss.item()

    @torch.inference_mode()
    def infer() -> float:
        with AUTOCAST:
            return loss_of(next(batches)).item()

    return Steps(train, infer)
