"""The loaders that trainers build over an export, built for real and read without training.

The data set is loaded as a trainer loads it (``stage``). Loaders that take token ids get documents in which every id is
made from the position of the document, so that what comes out of packing, truncation and padding says which documents
are in it. No model is read: the trainers get one with a few dozen random weights.
"""

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

import numpy as np
import pyarrow as pa

from curate.exports.verify.order_check import Positions
from curate.exports.verify.stage import LoaderStage, stream_dataset
from curate.runtime.arrays import Int64Array

PAD, EOS = 0, 1
FIRST_ID = 2
"""The id of the document at position 0; smaller ids pad and end a text."""
TRL_DOCUMENTS = 100_000
TRL_TOKENS = 10_000_000
"""``SFTTrainer`` gets at most so many documents and tokens of a large export, the first ones."""
ORDERED = {"train_sampling_strategy": "sequential"}
WRAPPED = {"packing": True, "packing_strategy": "wrapped"}
INSTALL = {
    "trainer": ("accelerate", "pip install accelerate"),
    "trl": ("trl", "pip install trl accelerate"),
}
"""The library that a loader needs, which curate does not, and what installs it."""


@dataclass(frozen=True, slots=True)
class LoaderCase:
    """One loader under one choice of settings."""

    loader: str
    settings: str
    """default, recommended, or any where there is nothing to set."""
    shown: str
    """The settings, as a user writes them."""
    build: Callable[..., Iterator[Positions]]
    """Yields the batches of one rank, from a ``LoaderStage``, the number of the rank, and ``options``."""
    packed: bool = False
    """Whether a document may end one batch and begin the next."""
    options: dict[str, Any] = field(default_factory=dict)

    def missing(self) -> str | None:
        """Return which library of the loader is missing, and what installs it; None where it is there."""
        module, hint = INSTALL.get(self.loader.split()[0], (None, ""))
        if module is None or importlib.util.find_spec(module) is not None:
            return None
        return f"{module} is not installed ({hint})"

    def steps(self, stage: LoaderStage) -> Iterator[Positions]:
        """Yield what each step reads: the batches of all ranks, joined."""
        ranks = [self.build(stage, rank, **self.options) for rank in range(stage.ranks)]
        for batches in zip_longest(*ranks):
            yield np.concatenate([batch for batch in batches if batch is not None])


def list_cases(loader: str, settings: str, ranks: int, workers: int = 0) -> list[LoaderCase]:
    """Return the cases of a loader (or ``all``) under settings: default, recommended or both."""
    sampler = "DistributedSampler(shuffle=False)" if ranks > 1 else "shuffle=False (the default)"
    packed = {**WRAPPED, **ORDERED}
    cases = [
        LoaderCase("dataloader", "any" if ranks == 1 else "recommended", sampler, _read_dataloader),
        LoaderCase(
            "streaming",
            "any" if ranks == 1 and not workers else "default",
            "streaming=True, no shuffle()",
            _read_streaming,
        ),
        LoaderCase("trainer", "default", "as it is", _read_trainer),
        LoaderCase("trainer", "recommended", _format_options(ORDERED), _read_trainer, options=ORDERED),
        LoaderCase("trl", "default", "as it is", _read_trl, True),
        LoaderCase("trl", "recommended", _format_options(ORDERED), _read_trl, True, ORDERED),
        LoaderCase("trl packed", "default", "packing=True", _read_trl, True, {"packing": True}),
        LoaderCase("trl packed", "recommended", _format_options(packed), _read_trl, True, packed),
    ]
    if ranks > 1:
        shuffled = {"shuffle": True}
        cases.insert(0, LoaderCase("dataloader", "default", "DistributedSampler()", _read_dataloader, options=shuffled))
    chosen = ("any", "default", "recommended") if settings == "both" else ("any", settings)
    return [case for case in cases if loader in ("all", case.loader.split()[0]) and case.settings in chosen]


def _format_options(options: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in options.items())


def _list_keys(stage: LoaderStage) -> list[str]:
    """Return the names of the columns that identify a document."""
    return [stage.export.column("file"), stage.export.column("row")]


def _find_positions(stage: LoaderStage, batches: Any) -> Iterator[Positions]:
    """Yield the positions of the documents of each batch, a list of rows."""
    file, row = _list_keys(stage)
    for batch in batches:
        yield stage.index.find([document[file] for document in batch], [document[row] for document in batch])


def _read_dataloader(stage: LoaderStage, rank: int, shuffle: bool = False) -> Iterator[Positions]:
    from torch.utils.data import DataLoader, DistributedSampler

    rows = stage.dataset.select_columns(_list_keys(stage))
    sampler: Any = DistributedSampler(rows, stage.ranks, rank, shuffle=shuffle) if stage.ranks > 1 else None
    return _find_positions(
        stage, DataLoader(rows, stage.batch_size, sampler=sampler, num_workers=stage.workers, collate_fn=keep_rows)
    )


def keep_rows(batch: Any) -> Any:
    """Return rows without collating them. A function of a module, so that processes of a DataLoader can import it."""
    return batch


def _read_streaming(stage: LoaderStage, rank: int) -> Iterator[Positions]:
    from datasets.distributed import split_dataset_by_node
    from torch.utils.data import DataLoader

    rows = stream_dataset(stage.export, stage.folder)
    if stage.ranks > 1:
        rows = split_dataset_by_node(rows, rank, stage.ranks)
    return _find_positions(stage, DataLoader(rows, stage.batch_size, num_workers=stage.workers, collate_fn=keep_rows))


def _make_dataset(positions: Positions, tokens: Int64Array) -> Any:
    """Return a data set whose documents are ``tokens`` long, each of one id that is made from its position."""
    import datasets

    ids = np.repeat(positions + FIRST_ID, tokens)
    offsets = np.concatenate([[0], np.cumsum(tokens)])
    column = pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), pa.array(ids, pa.int64()))
    return datasets.Dataset(pa.table({"input_ids": column, "labels": column}))


def _decode_positions(batches: Any) -> Iterator[Positions]:
    """Yield the positions in the ids of each batch, without padding."""
    for batch in batches:
        ids = batch["input_ids"].numpy().reshape(-1)
        yield (ids[ids >= FIRST_ID] - FIRST_ID).astype(np.int64)


def _make_arguments(stage: LoaderStage, options: dict[str, Any]) -> dict[str, Any]:
    """Return all arguments of a trainer: its settings, where to write, and to use no network and no GPU."""
    offline = {"output_dir": str(stage.folder / "trainer"), "report_to": "none", "disable_tqdm": True, "use_cpu": True}
    sizes = {"per_device_train_batch_size": stage.batch_size, "dataloader_num_workers": stage.workers}
    return {**offline, **sizes, "dataloader_pin_memory": False, **options}


def _read_trainer(stage: LoaderStage, rank: int, **options: Any) -> Iterator[Positions]:
    """``transformers.Trainer.get_train_dataloader`` over documents of one token: its sampler knows no lengths."""
    from transformers import Trainer, TrainingArguments

    data = _make_dataset(stage.positions, np.ones(len(stage.positions), np.int64))
    arguments = TrainingArguments(**_make_arguments(stage, options))
    trainer = Trainer(_make_model(), arguments, train_dataset=data, processing_class=_make_tokenizer())
    return _decode_positions(_open_loader(trainer, stage, rank))


def _read_trl(stage: LoaderStage, rank: int, **options: Any) -> Iterator[Positions]:
    """``trl.SFTTrainer.get_train_dataloader`` over documents of their true lengths, prepared (and packed) by TRL."""
    from trl import SFTConfig, SFTTrainer

    limit = count_trl(stage.tokens)
    data = _make_dataset(stage.positions[:limit], np.maximum(stage.tokens[:limit], 1))
    arguments = SFTConfig(**_make_arguments(stage, {"bf16": False, **options}))
    trainer = SFTTrainer(_make_model(), arguments, train_dataset=data, processing_class=_make_tokenizer())
    return _decode_positions(_open_loader(trainer, stage, rank))


def count_trl(tokens: Int64Array) -> int:
    """Return how many documents ``SFTTrainer`` gets: all, or the first of a large export, at least one."""
    within = int(np.searchsorted(np.cumsum(tokens), TRL_TOKENS, side="right"))
    return max(1, min(len(tokens), TRL_DOCUMENTS, within))


def _open_loader(trainer: Any, stage: LoaderStage, rank: int) -> Any:
    """Return the trainer's loader; for one of several ranks, as the code of accelerate splits it."""
    if stage.ranks > 1:
        from accelerate.data_loader import prepare_data_loader

        def prepare(loader: Any) -> Any:
            ranks = {"num_processes": stage.ranks, "process_index": rank}
            return prepare_data_loader(loader, even_batches=True, use_seedable_sampler=True, **ranks)

        trainer.accelerator.prepare = prepare
    return trainer.get_train_dataloader()


def _make_model() -> Any:
    """Return a model with a few dozen random weights; the loaders do not use it."""
    from transformers import LlamaConfig, LlamaForCausalLM

    small = dict.fromkeys(("hidden_size", "intermediate_size", "vocab_size"), 8)
    ones = dict.fromkeys(("num_hidden_layers", "num_attention_heads", "num_key_value_heads"), 1)
    return LlamaForCausalLM(LlamaConfig(**small, **ones, pad_token_id=PAD, eos_token_id=EOS, bos_token_id=EOS))


def _make_tokenizer() -> Any:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = models.WordLevel({"<pad>": PAD, "<eos>": EOS}, unk_token="<pad>")
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer(words), pad_token="<pad>", eos_token="<eos>")


def list_versions(names: Sequence[str] = ("torch", "datasets", "transformers", "accelerate", "trl")) -> dict[str, str]:
    """Return the versions of those libraries that are installed."""
    from importlib import metadata

    return {name: metadata.version(name) for name in names if importlib.util.find_spec(name) is not None}
