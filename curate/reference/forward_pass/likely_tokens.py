"""The tokens of a probability of 5 % at least, and the likeliest, at each position: what calibration needs of logits.

    logits ──► the largest of each column of a table ──► the columns that hold a likely token ──► the likely tokens

The logits of a position are seen as a table of ``DEPTH`` rows, of which the columns' largest are taken: that is the
only look at all of them, and on a CPU the loss has just brought them into the cache. At most 20 tokens are likely (they
share a sum of 1), so that at most 20 columns are looked at again. A CPU gathers those that hold one; a GPU, which
should not wait to learn how many there are, always gathers 20.

Shapes: C positions, V tokens, K = ``calibration.WIDTH`` numbers of a position.
"""

import math

import numpy as np
import torch

from curate.reference.measures.calibration import LOWEST, MOST_LIKELY

DEPTH = 64
"""Rows of the table; its columns are V / 64, and a rest of fewer than 64 tokens is looked at as it is."""


def find_likely(
    logits_CV: torch.Tensor, losses_C: torch.Tensor, targets_C: torch.Tensor, likely_CK: torch.Tensor
) -> None:
    """Write what calibration needs of each position into ``likely_CK``, float32 and 0 so far.

    ``logits_CV`` are float32, and right but for a constant in each row; ``losses_C`` are -ln p of the targets. Writes
    the probability of the target, that of the likeliest token, and those that are ``LOWEST`` at least, in any order.
    """
    wanted_C1 = logits_CV.gather(1, targets_C[:, None])
    logs_C1 = losses_C[:, None] + wanted_C1  # of the sum of exponentials
    if logits_CV.device.type == "cpu":
        _find_here(logits_CV, wanted_C1, logs_C1, likely_CK)
    else:
        _find_there(logits_CV, wanted_C1, logs_C1, likely_CK)


def _split(logits_CV: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the logits as C×DEPTH×columns, and the rest, C×(fewer than DEPTH)."""
    columns = logits_CV.shape[1] // DEPTH
    table, rest = logits_CV[:, : columns * DEPTH], logits_CV[:, columns * DEPTH :]
    return table.view(len(logits_CV), DEPTH, columns), rest


def _find_here(
    logits_CV: torch.Tensor, wanted_C1: torch.Tensor, logs_C1: torch.Tensor, likely_CK: torch.Tensor
) -> None:
    """Do it on a CPU, where the few likely tokens are found by NumPy."""
    table, rest = _split(logits_CV)
    largest = table.amax(1).numpy() if table.shape[2] else np.empty((len(table), 0), np.float32)
    cells, others, logs = table.numpy(), rest.numpy(), logs_C1.numpy()
    lowest = logs + np.float32(math.log(LOWEST))
    row, column = np.nonzero(largest >= lowest)
    found = cells[row, :, column]
    at, depth = np.nonzero(found >= lowest[row])
    other_row, other_column = np.nonzero(others >= lowest)
    rows = np.concatenate([row[at], other_row])
    values = np.concatenate([found[at, depth], others[other_row, other_column]])
    order = np.argsort(rows, kind="stable")
    rows, values = rows[order], values[order]
    number = np.arange(len(rows)) - np.searchsorted(rows, rows)
    fits = number < MOST_LIKELY
    out = likely_CK.numpy()
    out[rows[fits], 2 + number[fits]] = np.exp(values - logs[rows, 0])[fits]
    peak_C1 = np.concatenate([largest, others], 1).max(1, keepdims=True)
    out[:, 1:2] = np.exp(peak_C1 - logs)
    wanted = wanted_C1.numpy()
    out[:, 0:1] = np.where(wanted >= peak_C1, out[:, 1:2], np.exp(wanted - logs))


def _find_there(
    logits_CV: torch.Tensor, wanted_C1: torch.Tensor, logs_C1: torch.Tensor, likely_CK: torch.Tensor
) -> None:
    """Do it on a device, in work of a size that does not depend on the logits."""
    table, rest = _split(logits_CV)
    columns = table.shape[2]
    if columns > MOST_LIKELY:
        _, chosen = table.amax(1).topk(MOST_LIKELY, 1, sorted=False)
        cells = table.gather(2, chosen[:, None, :].expand(-1, DEPTH, -1)).flatten(1)
        rest = torch.cat([cells, rest], 1)
    else:
        rest = logits_CV
    values, _ = rest.topk(min(MOST_LIKELY, rest.shape[1]), 1)
    found = torch.exp(values - logs_C1)
    is_top = wanted_C1 >= values[:, :1]
    likely_CK[:, 0] = torch.where(is_top, found[:, :1], torch.exp(wanted_C1 - logs_C1))[:, 0]
    likely_CK[:, 1] = found[:, 0]
    likely_CK[:, 2 : 2 + found.shape[1]] = found
