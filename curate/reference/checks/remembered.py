"""Self-checks that are remembered: one for each model, dtype, machine and version of the code, in the cache folder.

A check depends on nothing else, and takes longer than scoring a few documents. A file that is damaged, of another
version or cannot be written counts as none. ``CURATE_SELF_CHECK=always`` checks each time.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xxhash

from curate.errors import StorageError
from curate.reference.checkpoints.checkpoint import Checkpoint, hash_code
from curate.reference.checks.half_precision import HalfPrecisionError
from curate.reference.checks.self_check import SelfCheck
from curate.reference.chip import describe_chip, list_instruction_sets
from curate.reference.forward_pass.batches import LAYOUTS
from curate.runtime.disk import files

ALWAYS = "CURATE_SELF_CHECK"
VARIABLES = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS")
"""Variables of the environment that choose other kernels."""


def remembered_folder() -> Path:
    """Return the folder of remembered checks, in the user's cache folder."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "curate" / "self-checks"


def name_check(checkpoint: Checkpoint, device: torch.device, prefix: int | None, third: bool) -> str | None:
    """Return the name of the file of a check: a hash of all that its result depends on; None to check each time."""
    if os.environ.get(ALWAYS) == "always":
        return None
    import tokenizers
    import transformers

    config = checkpoint.model.config
    depends = [
        checkpoint.weights, hash_code(checkpoint), checkpoint.encoder.name, checkpoint.dtype, checkpoint.readable(),
        type(checkpoint.model).__name__, json.dumps(config.to_dict(), sort_keys=True, default=str), prefix, third,
        device.type, describe_chip(device, checkpoint.dtype), list_instruction_sets(), torch.version.cuda,
        torch.__version__, transformers.__version__, tokenizers.__version__, _hash_own_code(),
        [os.environ.get(variable) for variable in VARIABLES], *(["live"] if checkpoint.live else []),
    ]  # fmt: skip
    return xxhash.xxh3_128_hexdigest(json.dumps(depends, default=str).encode()) + ".json"


@cache
def _hash_own_code() -> str:
    """Return a hash of the modules that read models, so that a change of them is checked anew."""
    folder = Path(__file__).parent.parent
    contents = [path.read_bytes() for path in sorted(folder.rglob("*.py"))]
    return xxhash.xxh3_128_hexdigest(b"\0".join(contents))


def recall_check(name: str | None) -> SelfCheck | None:
    """Return the remembered check of a name; None where there is none that can be read."""
    if name is None:
        return None
    try:
        return _read_check(json.loads((remembered_folder() / name).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remember_check(name: str | None, check: SelfCheck) -> None:
    """Write a check, if there is a place for it: who cannot write his cache folder checks each time."""
    if name is None:
        return
    try:
        remembered_folder().mkdir(parents=True, exist_ok=True)
        files.write_json(remembered_folder() / name, _write_check(check))
    except (OSError, StorageError):
        return


def _write_check(check: SelfCheck) -> dict[str, Any]:
    return asdict(check) | {"truth": [nats.tolist() for nats in check.truth]}


def _read_check(content: Mapping[str, Any]) -> SelfCheck:
    if content["layout"] not in LAYOUTS:
        raise ValueError(f"no layout: {content['layout']}")
    error = content["error"]
    truth = tuple(np.array(nats, np.float64) for nats in content["truth"])
    return SelfCheck(
        **dict(content)
        | {
            "notes": tuple(content["notes"]),
            "error": None if error is None else HalfPrecisionError(**error),
            "truth": truth,
        }
    )
