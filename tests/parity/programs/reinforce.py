"""Policy gradients with a baseline: a network walks over a board with holes to a goal; numpy samples its steps."""

import dynet_config

dynet_config.set(mem=256, random_seed=30)

import numpy as np
from training_report import Report

import dynet as dy

SIZE, HIDDEN, GAMMA, LONGEST = 5, 64, 0.95, 20
MOVES = ((0, 1), (1, 0), (0, -1), (-1, 0))
HOLES, GOAL = {(1, 1), (1, 3), (3, 0), (3, 3)}, (4, 4)


class Board(object):
    """Each walk starts in its own place; reaching the goal is worth 1, a hole -1."""

    def __init__(self, place):
        self.place = place

    def state(self):
        x = np.zeros(SIZE * SIZE)
        x[self.place[0] * SIZE + self.place[1]] = 1
        return x

    def act(self, action):
        row, column = [min(SIZE - 1, max(0, a + b)) for a, b in zip(self.place, MOVES[action])]
        self.place = (row, column)
        reward = 1.0 if self.place == GOAL else -1.0 if self.place in HOLES else -0.02
        return reward, self.place == GOAL or self.place in HOLES


class Policy(object):
    def __init__(self):
        self.model = dy.Model()
        self.W1 = self.model.add_parameters((HIDDEN, SIZE * SIZE), init=dy.GlorotInitializer(gain=2.0))
        self.b1 = self.model.add_parameters(HIDDEN, init=0.0)
        self.W2 = self.model.add_parameters((len(MOVES), HIDDEN))
        self.b2 = self.model.add_parameters(len(MOVES))
        self.V = self.model.add_parameters((1, HIDDEN))
        self.c = self.model.add_parameters((1,))
        self.trainer = dy.AdamTrainer(self.model, 0.01)

    def step(self, x):
        hidden = dy.rectify(self.W1 * dy.inputVector(x) + self.b1)
        value = self.V * dy.nobackprop(hidden) + self.c
        return dy.softmax(self.W2 * hidden + self.b2), value


report = Report()
policy, rng = Policy(), np.random.RandomState(9)
starts = [(r, c) for r in range(SIZE) for c in range(SIZE) if (r, c) not in HOLES and (r, c) != GOAL]
for episode in range(1500):
    dy.renew_cg()
    board, walk, over = Board(starts[rng.randint(len(starts))]), [], False
    while not over and len(walk) < LONGEST:
        probs, baseline = policy.step(board.state())
        p = probs.npvalue()
        action = rng.choice(len(p), p=p / p.sum())
        reward, over = board.act(action)
        walk.append((probs, baseline, action, reward))
    losses, total = [], 0.0
    for probs, baseline, action, reward in reversed(walk):
        total = reward + GAMMA * total
        advantage = total - baseline.value()
        losses.append(-dy.log(dy.pick(probs, action)) * advantage)
        losses.append(dy.square(baseline - total))
        losses.append(dy.dot_product(probs, dy.log(probs)) * 0.02)
    loss = dy.esum(losses)
    report.loss(loss.value() / len(walk))
    loss.backward()
    policy.trainer.update()

reached = 0
for place in starts:
    board, over, steps = Board(place), False, 0
    while not over and steps < LONGEST:
        dy.renew_cg()
        probs, _ = policy.step(board.state())
        reward, over = board.act(int(np.argmax(probs.npvalue())))
        steps += 1
    reached += board.place == GOAL
report.end(reached / len(starts))
