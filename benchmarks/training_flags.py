"""How often the flags of ``curate.PerplexityCallback`` fire without a reason, and with one, in simulated trainings.

    python benchmarks/training_flags.py [TRAININGS]

A training has 20 evaluations of the same documents, 10 logged losses between two of them, and a noise of documents and
one that all documents share.
"""

import sys

import numpy as np

from curate.monitoring.callback.flags import FLAGS
from curate.monitoring.callback.paired import TrainingHistory

EVALUATIONS, LOGS, EVERY = 20, 10, 100
OF_DOCUMENT, OF_LOG = 0.03, 0.05  # nats a token: noise of a document at a step, of a logged loss of training


def simulate(random, documents, shared, held_out_T, train_T):
    """A training whose held-out losses are ``held_out_T`` and whose losses of training ``train_T``, with noise."""
    tokens_N = np.maximum(8, random.lognormal(5.5, 0.8, documents)).round()
    levels_N = random.normal(3.0, 0.5, documents)
    losses_TN = levels_N + held_out_T[:, None] + random.normal(0, OF_DOCUMENT, (EVALUATIONS, documents))
    losses_TN += random.normal(0, shared, EVALUATIONS)[:, None]
    steps_T = np.arange(EVALUATIONS) * EVERY
    train_steps = np.arange(1, (EVALUATIONS - 1) * LOGS + 1) * EVERY // LOGS
    train = np.interp(train_steps, steps_T, 3.0 + train_T) + random.normal(0, OF_LOG, len(train_steps))
    return TrainingHistory(steps_T, losses_TN * tokens_N, tokens_N, train_steps, train)


def fires(find, history):
    """The evaluation after which a flag fires first, None where it never does."""
    for count in range(1, EVALUATIONS + 1):
        until = count * EVERY - EVERY
        seen = history.train_steps <= until
        part = TrainingHistory(
            history.steps_T[:count], history.nats_TN[:count], history.tokens_N,
            history.train_steps[seen], history.train_losses[seen],
        )  # fmt: skip
        if find(part, 5, 0.01) is not None:
            return count
    return None


T = np.arange(EVALUATIONS)
FLAT, LEARNS = np.zeros(EVALUATIONS), np.exp(-T / 5.0)
SCENARIOS = (
    ("overfit", "nothing changes but the training loss, which falls", FLAT, -0.02 * T),
    ("overfit", "the held-out loss falls to a floor", LEARNS, -0.02 * T),
    ("overfit", "held-out rises by 1 % an evaluation after the 8th", np.maximum(0, T - 8) * 0.01, -0.02 * T),
    ("overfit", "held-out rises by 3 % an evaluation after the 8th", np.maximum(0, T - 8) * 0.03, -0.02 * T),
    ("plateau", "perplexity falls by the tolerance, 1 %, over 5 evaluations", -0.01 * T / 4, FLAT),
    ("plateau", "perplexity falls by twice the tolerance", -0.02 * T / 4, FLAT),
    ("plateau", "perplexity falls by 1.5 times the tolerance", -0.015 * T / 4, FLAT),
    ("plateau", "perplexity stands still", FLAT, FLAT),
    ("leak", "nothing changes; held-out text is easier by .2 nats", FLAT - 0.2, FLAT),
    ("leak", "both fall alike; held-out text is easier by .2 nats", LEARNS - 0.2, LEARNS),
    ("leak", "nothing changes; both are alike", FLAT, FLAT),
    ("leak", "held-out falls by 2 % an evaluation, training does not", -0.02 * T, FLAT),
)


def main():
    trainings = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    print("| flag | training | documents | shared noise | fires | at evaluation (median) |")
    print("|---|---|---|---|---|---|")
    for flag, what, held_out_T, train_T in SCENARIOS:
        for documents in (30, 300):
            for shared in (0.0, 0.003):
                random = np.random.default_rng(1)
                found = [
                    fires(FLAGS[flag], simulate(random, documents, shared, held_out_T, train_T))
                    for _ in range(trainings)
                ]
                when = [each for each in found if each is not None]
                median = f"{np.median(when):.0f}" if when else "–"
                share = f"{len(when) / trainings:.1%}".replace("%", " %")
                print(f"| {flag} | {what} | {documents} | {shared} | {share} | {median} |", flush=True)


if __name__ == "__main__":
    main()
