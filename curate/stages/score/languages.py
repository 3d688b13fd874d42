"""Whether a corpus is in the languages of the model that scores it, by a sample of its documents.

Numbers of texts in a language that a model was not trained on do not compare with those of other texts: its tokens are
bytes there, so that perplexity is low, and bits per byte high.
"""

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from curate.matching.languages import identify_language
from curate.reference.checkpoints.model_card import read_languages
from curate.reference.checkpoints.model_files import WITHOUT_FILES
from curate.runtime.numbers import count_noun

if TYPE_CHECKING:
    from curate.corpus import Corpus

SAMPLE = 200
"""Documents that are looked at."""
FILES = 20
"""Files that they come from at most."""
SURE = 0.9
"""Confidence from which on the language of a document counts. Of 1,700 held-out documents of English and code none is
taken for another language so surely, and of junk without words hardly any; of texts in other languages all are told."""
SHARE = 0.1
"""Share of documents in other languages from which on it is said."""
NAMED = 4
"""Other languages that are named."""


def describe_languages(corpus: "Corpus", model: str, revision: str | None) -> str | None:
    """Return a line that says that a corpus is not in the languages of a model; None where it is, or neither is known.

    The languages of a model are those that its card names.
    """
    known = () if model in WITHOUT_FILES else read_languages(model, revision)
    if not known:
        return None
    looked, others = 0, Counter[str]()
    for text in sample_texts(corpus):
        language = identify_language(text)
        looked += 1
        if language.code not in known and language.confidence >= SURE:
            others[language.code] += 1
    if not looked or others.total() < SHARE * looked:
        return None
    named = ", ".join(f"{code} {count:,}" for code, count in others.most_common(NAMED))
    more = f" and {len(others) - NAMED} more" if len(others) > NAMED else ""
    spelled = f"{others.total():,} of {count_noun(looked, 'document')} looked at"
    are = "is" if others.total() == 1 else "are"
    return f"{spelled} {are} not in {' or '.join(known)}, which {model} reads by its card ({named}{more})"


def sample_texts(corpus: "Corpus") -> Iterator[str]:
    """Yield up to ``SAMPLE`` texts: spread evenly over the first slices of up to ``FILES`` files, spread evenly too."""
    step = max(1, -(-len(corpus.sources) // FILES))
    chosen = range(0, len(corpus.sources), step)
    for index in chosen:
        documents = next(corpus.slices(only=(index,)), None)
        texts = [text for text in documents.texts if text] if documents is not None else []
        most = max(1, SAMPLE // len(chosen))
        yield from texts[:: max(1, -(-len(texts) // most))]
