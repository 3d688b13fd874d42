"""Workers as an engine has them on other machines: all is pickled on the way, and a call may be made twice."""

import pickle
from contextlib import contextmanager

from curate.exports.ordered import write


@contextmanager
def start_elsewhere(function, shared, count):
    """As ``processes.start_workers``; each call is made twice, and the second result counts."""
    far = pickle.dumps(shared)

    def work(item):
        sent = pickle.dumps(item)
        for _ in range(2):
            called, value = pickle.loads(sent)
            result = function(pickle.loads(far), (called, value))
        SENT.append((called.__name__, len(sent), len(pickle.dumps(result))))
        return pickle.loads(pickle.dumps(result))

    yield work


SENT = []
"""Of each call: the function, and the bytes that were sent there and back."""


def export_elsewhere(monkeypatch):
    """Until the test ends, exports are made by workers elsewhere."""
    real = write.choose_means

    def choose(memory, workers, corpus):
        means = real(memory, workers, corpus)
        return write.OrderedMeans(means.memory, means.workers, start_elsewhere)

    monkeypatch.setattr(write, "choose_means", choose)
