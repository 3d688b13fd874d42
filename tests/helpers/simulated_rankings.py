"""Rankings of sources that are samples of measured datasets, without a model."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.sft.measuring.reader import RankingOptions
from curate.sft.ranking.languages import DatasetLanguages, LanguageSums
from curate.sft.ranking.measured_dataset import MeasuredDataset
from curate.sft.ranking.measures import SUMS
from curate.sft.ranking.session import RankingSession
from curate.sft.ranking.table import rank_measured

MEASURED = Path(__file__).parent.parent / "sft" / "ranking" / "measured_examples.parquet"
SETS = ("code_alpaca_2k", "dolly_3k", "gsm8k_train", "oasst_messages", "v1_sft_demo")


def read_population(name):
    """The sums of the measured examples of one of ``SETS``."""
    whole = pq.read_table(MEASURED)
    table = whole.filter(pc.equal(whole["dataset"], name))
    return {column: table[column].cast(pa.float64()).to_numpy() for column in SUMS}


def draw_examples(population, count, generator):
    picked = generator.integers(len(population["nats"]), size=count)
    return {column: values[picked] for column, values in population.items()}


def shift_nats(population, nats):
    """The same examples with so many nats more for each token."""
    return population | {"nats": population["nats"] + nats * population["tokens"]}


def in_language(code, bits=1.0, tokens=0.25):
    """A dataset of a language with so many bits and tokens a letter."""
    return DatasetLanguages({code: LanguageSums(40, bits * 1000, tokens * 1000, 1000, 1000)})


class SimulatedSession(RankingSession):
    """A session whose datasets are drawn from populations, by name, with ``most`` examples each.

    ``languages`` has those of the datasets whose language is known.
    """

    def __init__(self, populations, generator, first=40, most=640, by="perplexity", languages=()):
        options = RankingOptions(sample=first, seed=int(generator.integers(2**31)), draws=100, by=by)
        super().__init__([SimpleNamespace(name=name) for name in populations], None, options)
        self.most = most
        self.language_of = dict(languages)
        self.sums = {name: draw_examples(sums, most, generator) for name, sums in populations.items()}
        for name in populations:
            self.draw(name, first)

    def draw(self, name, count):
        self.samples[name] = SimpleNamespace(examples=range(count), available=self.most)

    def measure(self, reader):
        counts = {name: len(sample.examples) for name, sample in self.samples.items()}
        return {
            name: MeasuredDataset(
                name,
                {column: values[: counts[name]] for column, values in sums.items()},
                np.arange(counts[name]),
                self.language_of.get(name, DatasetLanguages()),
            )
            for name, sums in self.sums.items()
        }

    def rank(self, name_to_responses):
        datasets = list(name_to_responses.values())
        return rank_measured(datasets, self.options.by, self.options.draws, self.options.seed, self.looks)
