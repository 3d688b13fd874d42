"""The tokenizer: a byte-level BPE learned from a sample of the texts, which does not depend on their order.

Its one special token comes before every document, where a scorer puts its prefix, and after it.
"""

import heapq
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import xxhash
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from curate.errors import CorpusError
from curate.runtime.arrays import Int64Array

END_OF_TEXT = "<|endoftext|>"
END = 0  # its id: special tokens come first in the vocabulary
ALPHABET = 256  # every byte is a token, so that every text can be encoded

# One letter run with the one character before it, single digits, runs of signs, line ends with the space before them,
# and indentation apart from the word that it indents. After GPT-4's pattern (tiktoken, cl100k_base).
PIECES = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+| ?\p{N}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def hash_text(text: str) -> int:
    """Return xxh3 of the text in UTF-8, 64 bits; a lone surrogate counts as a question mark."""
    return xxhash.xxh3_64_intdigest(text.encode("utf-8", "replace"))


def sample_texts(texts: Iterable[str], budget: int) -> list[str]:
    """Return the documents of smallest hash that fit in ``budget`` characters: the same for every order of the corpus.

    Of a corpus that is not empty there is at least one, however long.
    """
    heap: list[tuple[int, str]] = []
    characters = 0
    for text in texts:
        heapq.heappush(heap, (-hash_text(text), text))
        characters += len(text)
        while characters > budget and len(heap) > 1:
            characters -= len(heapq.heappop(heap)[1])
    return [text for _, text in sorted(heap, reverse=True)]


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """Return a byte-level BPE of exactly ``vocabulary`` tokens, of which 256 are the bytes and one ``<|endoftext|>``.

    Every text encodes and decodes to itself; digits are single. Raises CorpusError when the text has too few pairs to
    merge.
    """
    tokenizer = Tokenizer(models.BPE())
    bytewise = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(PIECES), "isolated"), bytewise])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=vocabulary,
            special_tokens=[END_OF_TEXT],
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        ),
    )
    size = tokenizer.get_vocab_size()
    if size < vocabulary:
        raise CorpusError(
            f"the text is too small for a vocabulary of {vocabulary:,}: it gives {size:,} tokens",
            f"add text, or make the vocabulary smaller: --vocabulary {max(ALPHABET + 1, size)}",
        )
    return tokenizer


def token_bytes(tokenizer: Tokenizer) -> Int64Array:
    """Return the number of UTF-8 bytes that each token spells, by id; 0 for the special token."""
    sizes = np.zeros(tokenizer.get_vocab_size(), dtype=np.int64)
    for token, index in tokenizer.get_vocab().items():
        sizes[index] = len(token)  # a byte-level token is spelled with one character a byte
    sizes[END] = 0
    return sizes


def save_tokenizer(tokenizer: Tokenizer, folder: Path, context: int) -> None:
    """Write what ``AutoTokenizer.from_pretrained(folder)`` reads: it adds no special token."""
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=END_OF_TEXT,
        eos_token=END_OF_TEXT,
        model_max_length=context,
        clean_up_tokenization_spaces=False,
    )
    wrapped.save_pretrained(folder)
