"""The bytes of a text that each of its tokens spells, without asking the tokenizer again where that can be had.

ids ──► what each spells ──► joined: the text? ──► exact, also where tokens split characters
                                 │ no: the tokenizer rewrites texts
                                 └──► the characters that the tokenizer says each token spans
"""

import numpy as np

from curate.reference.checkpoints.tokenizer import TextEncoder
from curate.reference.measures.text_kinds import count_utf8_bytes
from curate.runtime.arrays import Int32Array, Int64Array


def find_token_begins(encoder: TextEncoder, text: str, ids_T: Int32Array) -> Int64Array | None:
    """Return the byte of a text at which each of its tokens begins, T, rising; None where nothing can tell.

    ``ids_T`` are all tokens of the text. A token reaches to the next that begins elsewhere, the last to the end of the
    text; tokens that begin at one byte share what lies between. So white space that a tokenizer does not count to a
    token goes to the token after it.
    """
    octets = text.encode()
    exact = _spell_begins(encoder.spell_pieces(), octets, ids_T)
    if exact is not None or not encoder.locates_tokens:
        return exact
    spans = encoder.spans(text)
    return _join_spans(text, spans) if len(spans) == len(ids_T) else None


def _spell_begins(pieces: list[bytes], octets: bytes, ids_T: Int32Array) -> Int64Array | None:
    """Return where tokens begin whose pieces, end to end, are the text, a blank in front aside; None for others."""
    if not len(ids_T) or int(ids_T.max()) >= len(pieces):
        return None
    spelled = [pieces[each] for each in ids_T.tolist()]
    joined = b"".join(spelled)
    extra = len(joined) - len(octets)
    if extra not in (0, 1) or joined[:extra].strip() or joined[extra:] != octets:
        return None
    ends_T = np.cumsum(np.fromiter(map(len, spelled), np.int64, len(spelled)))
    return np.asarray(np.maximum(np.concatenate([[0], ends_T[:-1]]) - extra, 0))


def _join_spans(text: str, spans_T2: Int64Array) -> Int64Array:
    """Return where tokens begin that span these characters; those that share characters begin where the first does."""
    if not len(spans_T2):
        return np.zeros(0, np.int64)
    ends_T = np.maximum.accumulate(spans_T2[:, 1])
    before_T = np.concatenate([[0], ends_T[:-1]])
    begins_T = np.maximum.accumulate(np.where(spans_T2[:, 0] >= before_T, before_T, 0))
    codes_C = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    return np.asarray(np.concatenate([[0], np.cumsum(count_utf8_bytes(codes_C))])[begins_T])
