"""Documents and copies of known similarity, and what ``dedup`` made of them."""

import random

import pyarrow.parquet as pq
from helpers.runs import write_lines

from curate.verbs.dedup import dedup

CHANCE = random.Random(11)
VOCABULARY = ["".join(CHANCE.choices("abcdefghijklmnoprstuvw", k=7)) for _ in range(5000)]
COUNTED = ("unique", "keepers", "exact", "near", "empty", "unreadable")


def words_of(seed, count=104):
    """A document's words: 100 shingles unless told otherwise, none of them in the document of another seed."""
    return random.Random(seed).choices(VOCABULARY, k=count)


def edited(these, *places):
    """The same words with some replaced; one far from both ends and from the others takes five shingles with it."""
    return [f"{word}x{place}" if place in places else word for place, word in enumerate(these)]


def far(count, of=104):
    """Places for so many replaced words that share no shingle."""
    return [5 + 9 * number for number in range(count)]


def shared(count, size=100):
    """The similarity of a document of ``size`` shingles with itself after ``count`` such replacements."""
    return (size - 5 * count) / (size + 5 * count)


def spelled(these):
    return " ".join(these)


def run_on(folder, documents, name="a.jsonl", **options):
    """Write the documents (texts, or whole rows) and remove copies among them."""
    rows = [{"text": one} if isinstance(one, str) else one for one in documents]
    write_lines(folder / "corpus" / name, rows)
    return dedup(run=str(folder / "run"), corpus=[str(folder / "corpus")], **options)


def rows_of(folder):
    return pq.read_table(folder / "run" / "duplicates.parquet").to_pylist()


def groups_of(folder):
    """The rows of each cluster, in a corpus of one file."""
    found = {}
    for row in rows_of(folder):
        found.setdefault(row["cluster"], set()).add(row["row"])
    return sorted(map(sorted, found.values()))


def kept_of(folder):
    return [row["row"] for row in rows_of(folder) if row["keeper"]]


def is_conserved(found):
    return found.read == sum(getattr(found, name) for name in COUNTED)


def random_documents(seed, count):
    """Documents, and edits of documents before them, of all sizes and degrees."""
    chance, found = random.Random(seed), []
    for _ in range(count):
        if found and chance.random() < 0.6:
            these = chance.choice(found[-40:]).split()
            found.append(
                spelled(edited(these, *chance.sample(range(len(these)), min(len(these), chance.randint(0, 4)))))
            )
        else:
            found.append(spelled(chance.choices(VOCABULARY, k=chance.choice([3, 20, 100, 200]))))
    return found


def components(members, pairs):
    """Brute force: the connected components of some documents."""
    rest, found = set(members), []
    while rest:
        group = waiting = {rest.pop()}
        while waiting:
            waiting = {other for one in waiting for other in rest if tuple(sorted((one, other))) in pairs}
            rest -= waiting
            group = group | waiting
        found.append(sorted(group))
    return sorted(found)
