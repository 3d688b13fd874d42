"""Bits per byte of held-out text."""

import math

import numpy as np
import torch
from helpers.training import TINY

from curate.reference.training.held_out import measure_bits_per_byte
from curate.reference.training.model import build_model
from curate.reference.training.tokenizer import END


def test_a_closing_token_is_not_part_of_held_out_text() -> None:
    model, sizes = build_model(TINY), np.ones(320, dtype=np.int64)
    sizes[END] = 0
    bits = [
        measure_bits_per_byte(model, [np.array(ids)], sizes, torch.float32, 512) for ids in ([0, 5, 6], [0, 5, 6, 0])
    ]
    assert bits[0] == bits[1] > 0
    assert math.isnan(measure_bits_per_byte(model, [np.array([0])], sizes, torch.float32, 512))
