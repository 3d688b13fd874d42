"""Documents ordered by a schedule of a name."""

import numpy as np
from hypothesis import strategies as st

from curate.stages.order import schedules
from curate.stages.order.permutations import random_bits

weights = st.lists(st.integers(0, 50), max_size=60).map(lambda found: np.array(found, np.int64))


def arranged(name, tokens, seed=0, **options):
    return schedules.arrange(schedules.schedule_of(name, options), np.asarray(tokens, np.int64), random_bits(seed))
