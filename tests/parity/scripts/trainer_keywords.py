"""Lists the keywords that each trainer takes."""

from report import report

import dynet as dy

KEYWORDS = """
    learning_rate learning_rate_min learning_rate_max e0 e0_min e0_max edecay alpha mom eps rho beta_1 beta_2 step_size
    gamma m
""".split()
TRAINERS = [name for name in dir(dy) if name.endswith("Trainer") and name != "Trainer"]


def takes(trainer, keyword):
    model = dy.ParameterCollection()
    try:
        trainer(m=model) if keyword == "m" else trainer(model, **{keyword: 0.05})
    except TypeError:
        return False
    return True


def main():
    report({name: [keyword for keyword in KEYWORDS if takes(getattr(dy, name), keyword)] for name in TRAINERS})


if __name__ == "__main__":
    main()
