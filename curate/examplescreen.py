"""A few examples of each dataset for a person to look at: easy, ordinary and hard ones, with their numbers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from curate.likelihood import perplexity

if TYPE_CHECKING:
    from curate.instructionsets import Drawn

SHARES = (0.1, 0.5, 0.9)  # of the examples, by the perplexity of their answers
ASKED, ANSWERED = 400, 600  # characters shown


def choose_examples(drawn: "Sequence[Drawn]", measured: pa.Table) -> tuple[dict[str, Any], ...]:
    """The examples at a few quantiles of response perplexity, from the lowest on."""
    if not measured.num_rows:
        return ()
    found = perplexity(measured["nats"].to_numpy(), measured["tokens"].to_numpy())
    order = np.argsort(found, kind="stable")
    places = dict.fromkeys(int(order[round(share * (len(order) - 1))]) for share in SHARES)
    by_key = {(one.file, one.row, one.part): one for one in drawn}
    rows = measured.take(list(places)).to_pylist()
    return tuple(_show(by_key[row["file"], row["row"], row["part"]], row) for row in rows)


def _show(one: "Drawn", row: dict[str, Any]) -> dict[str, Any]:
    turns = one.example.turns
    last = max(at for at, turn in enumerate(turns) if turn.role == "assistant")
    asked = "\n\n".join(f"{turn.role}: {turn.text}" if last > 1 else turn.text for turn in turns[:last])
    nats, tokens, alone = row["nats"], row["tokens"], row["unconditional_nats"]
    return {
        "place": f"{one.file}, row {one.row}",
        "id": one.id,
        "asked": _cut_front(asked, ASKED),
        "answered": _cut(turns[last].text, ANSWERED),
        "tokens": tokens,
        "perplexity": float(perplexity(nats, tokens)),
        "unconditional_perplexity": float(perplexity(alone, tokens)),
        "ifd_ppl": float(np.exp((nats - alone) / tokens)),
    }


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[:most] + " …"


def _cut_front(text: str, most: int) -> str:
    """The end of what was asked, since the question stands there."""
    return text if len(text) <= most else "… " + text[-most:]
