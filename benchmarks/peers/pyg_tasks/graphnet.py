"""The graph network in PyTorch Geometric: `Batch` joins the graphs of a minibatch, `MessagePassing` sums messages."""

import torch
from torch_geometric.data import Batch, Data
from torch_geometric.nn import MessagePassing

from peers.torch_tasks.graphnet import Network
from peers.torch_tasks.training import training_steps
from tasks.graphnet import KINDS, ROUNDS, examples


class Messages(MessagePassing):
    def __init__(self, network):
        super().__init__(aggr="add")
        self.network = network

    def forward(self, h, edges, counts):
        return self.propagate(edges, h=h, counts=counts)

    def message(self, h_j, counts):
        return self.network.messages(h_j, counts)


def make(initial, minibatch, seed):
    network, graphs = Network(initial), {}
    messages = Messages(network)

    def graph_of(example):
        """Return an example as PyTorch Geometric keeps it in a data set, made once."""
        if id(example) not in graphs:
            sentence, labels, edges = example
            sources, kinds, targets = torch.tensor(edges).T
            graph = Data(edge_index=torch.stack([sources, targets]), kinds=kinds, words=torch.tensor(sentence))
            graph.labels, graph.num_nodes = torch.tensor(labels), len(sentence)
            graphs[id(example)] = example, graph
        return graphs[id(example)][1]

    def loss_of(batch):
        joined = Batch.from_data_list([graph_of(example) for example in batch])
        kinds, order = torch.sort(joined.kinds, stable=True)
        edges, counts = joined.edge_index[:, order], torch.bincount(kinds, minlength=KINDS).tolist()
        h = network.words(network.words.use(joined.words.numpy()))
        for _ in range(ROUNDS):
            h = network.update(messages(h, edges, counts), h)
        return network.loss(h, joined.labels)

    return training_steps(network.parameters, [network.words], examples(minibatch, seed), loss_of)
