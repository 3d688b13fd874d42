"""The loaders that trainers build over an export, made for real and read without training.

The data set is loaded as a trainer loads it. For the loaders that take token ids a stand-in tokenises: every id of a
document is its place, so that what comes out of packing, truncation and padding says which documents are in it. No
model is read: what the trainers are given has a few dozen random weights. Nothing is written but below a temporary
folder, nothing asks the network, and the random state and the settings of the process are put back.
"""

import importlib.util
import logging
import random
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from curate.exports.shards import FORMATS
from curate.exports.verify.order_check import Positions
from curate.exports.verify.reader import Export, PositionIndex

FIRST_ID = 2  # ids below pad and end a text
PAD, EOS = 0, 1
TRL_DOCUMENTS = 100_000  # of a large export SFTTrainer prepares the first so many
TRL_TOKENS = 10_000_000
ORDERED = {"train_sampling_strategy": "sequential"}
WRAPPED = {"packing": True, "packing_strategy": "wrapped"}
INSTALL = {
    "trainer": ("accelerate", "pip install accelerate"),
    "trl": ("trl", "pip install trl, or curate with its extra: pip install 'curate[trl]'"),
}


@dataclass(frozen=True, slots=True)
class LoaderStage:
    """An export made ready to be loaded: its data set, and where each of its rows stands in the order."""

    export: Export
    places: PositionIndex
    dataset: Any
    positions: Positions
    """Of the rows of the data set."""
    tokens: Any
    """How long the document of each row is."""
    folder: Path
    batch_size: int
    ranks: int
    workers: int


@dataclass(frozen=True, slots=True)
class LoaderCase:
    """One loader under one choice of settings."""

    loader: str
    settings: str
    """default, recommended, or any where there is nothing to set."""
    shown: str
    """The settings, as they are written."""
    build: Callable[..., Iterator[Positions]]
    """The batches of one rank, of a stage and its number."""
    packed: bool = False
    options: dict[str, Any] = field(default_factory=dict)

    def missing(self) -> str | None:
        """What to install where the library of the loader is not there."""
        module, hint = INSTALL.get(self.loader.split()[0], (None, ""))
        return hint if module is not None and importlib.util.find_spec(module) is None else None

    def steps(self, stage: LoaderStage) -> Iterator[Positions]:
        """What each step sees: the batches of all ranks, dealt out by the loader and put side by side."""
        ranks = [self.build(stage, rank, **self.options) for rank in range(stage.ranks)]
        for batches in zip_longest(*ranks):
            yield np.concatenate([batch for batch in batches if batch is not None])


def list_cases(loader: str, settings: str, ranks: int, workers: int = 0) -> list[LoaderCase]:
    """The cases that a user asked for."""
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
        LoaderCase("trainer", "recommended", _spell(ORDERED), _read_trainer, options=ORDERED),
        LoaderCase("trl", "default", "as it is", _read_trl, True),
        LoaderCase("trl", "recommended", _spell(ORDERED), _read_trl, True, ORDERED),
        LoaderCase("trl packed", "default", "packing=True", _read_trl, True, {"packing": True}),
        LoaderCase("trl packed", "recommended", _spell(packed), _read_trl, True, packed),
    ]
    if ranks > 1:
        shuffled = {"shuffle": True}
        cases.insert(0, LoaderCase("dataloader", "default", "DistributedSampler()", _read_dataloader, options=shuffled))
    wanted = ("any", "default", "recommended") if settings == "both" else ("any", settings)
    return [case for case in cases if loader in ("all", case.loader.split()[0]) and case.settings in wanted]


def _spell(options: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in options.items())


# What is loaded.


@contextmanager
def staged(
    export: Export, places: PositionIndex, tokens: Any, batch_size: int, ranks: int, workers: int
) -> Iterator[LoaderStage]:
    """An export, loaded, as long as the block lasts, in a process that is quiet and is left as it was found."""
    with tempfile.TemporaryDirectory(prefix="curate-verify-") as temporary, _quietly(), _undisturbed():
        folder = Path(temporary)
        dataset = load_dataset(export, folder)
        positions = _find_positions(export, places, dataset)
        known = np.where(positions >= 0, tokens[np.maximum(positions, 0)], 1)
        yield LoaderStage(export, places, dataset, positions, known, folder, batch_size, ranks, workers)


def load_dataset(export: Export, folder: Path, streaming: bool = False) -> Any:
    """The data set as a trainer loads it; what datasets prepares goes into ``folder``."""
    import datasets

    place = str(export.folder.resolve())
    if FORMATS[export.format].loads_from_disk and not streaming and not export.by_bucket:
        return datasets.load_from_disk(place)["train"]
    return datasets.load_dataset(place, split="train", cache_dir=str(folder / "cache"), streaming=streaming)


def _find_positions(export: Export, places: PositionIndex, dataset: Any) -> Positions:
    names = [export.column("file"), export.column("row")]
    tables = dataset.select_columns(names).with_format("arrow").iter(10_000)
    found = [places.find(table.column(names[0]), table.column(names[1]).to_numpy()) for table in tables]
    return np.concatenate(found) if found else np.zeros(0, np.int64)


@contextmanager
def _quietly() -> Iterator[None]:
    """No bars and no warnings of the libraries; they are about training, which does not happen."""
    import datasets

    bars = datasets.are_progress_bars_disabled()
    before = logging.root.manager.disable
    datasets.disable_progress_bars()
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
        if not bars:
            datasets.enable_progress_bars()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Trainers set seeds and a device for the whole process; both are put back."""
    import torch

    state, numpy_state = random.getstate(), np.random.get_state()
    threads = torch.get_num_threads()
    fresh = not _accelerate_state()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(state)
        np.random.set_state(numpy_state)
        torch.set_num_threads(threads)
        if fresh and _accelerate_state():
            from accelerate.state import AcceleratorState, GradientState

            AcceleratorState._reset_state(reset_partial_state=True)
            GradientState._reset_state()


def _accelerate_state() -> bool:
    """Whether accelerate has settled on a device for this process."""
    if importlib.util.find_spec("accelerate") is None:
        return False
    from accelerate.state import PartialState

    return bool(PartialState._shared_state)


# One rank of each loader.


def _keys(stage: LoaderStage) -> list[str]:
    return [stage.export.column("file"), stage.export.column("row")]


def _place(stage: LoaderStage, batches: Any) -> Iterator[Positions]:
    """Batches of rows as positions."""
    file, row = _keys(stage)
    for batch in batches:
        yield stage.places.find([one[file] for one in batch], [one[row] for one in batch])


def _read_dataloader(stage: LoaderStage, rank: int, shuffle: bool = False) -> Iterator[Positions]:
    from torch.utils.data import DataLoader, DistributedSampler

    rows = stage.dataset.select_columns(_keys(stage))
    sampler: Any = DistributedSampler(rows, stage.ranks, rank, shuffle=shuffle) if stage.ranks > 1 else None
    return _place(
        stage, DataLoader(rows, stage.batch_size, sampler=sampler, num_workers=stage.workers, collate_fn=as_it_is)
    )


def as_it_is(batch: Any) -> Any:
    """Rows, not collated; a function of a module, for the processes of a DataLoader."""
    return batch


def _read_streaming(stage: LoaderStage, rank: int) -> Iterator[Positions]:
    from datasets.distributed import split_dataset_by_node
    from torch.utils.data import DataLoader

    rows = load_dataset(stage.export, stage.folder, streaming=True).select_columns(_keys(stage))
    if stage.ranks > 1:
        rows = split_dataset_by_node(rows, rank, stage.ranks)
    return _place(stage, DataLoader(rows, stage.batch_size, num_workers=stage.workers, collate_fn=as_it_is))


def _spelled(positions: Positions, tokens: Any) -> Any:
    """A data set whose documents are ``tokens`` long and made of the number of their position alone."""
    import datasets

    ids = np.repeat(positions + FIRST_ID, tokens)
    offsets = np.concatenate([[0], np.cumsum(tokens)])
    column = pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), pa.array(ids, pa.int64()))
    return datasets.Dataset(pa.table({"input_ids": column, "labels": column}))


def _take_ids(batches: Any) -> Iterator[Positions]:
    """The positions that the ids of each batch spell, without what pads."""
    for batch in batches:
        ids = batch["input_ids"].numpy().reshape(-1)
        yield (ids[ids >= FIRST_ID] - FIRST_ID).astype(np.int64)


def _arguments(stage: LoaderStage, options: dict[str, Any]) -> dict[str, Any]:
    """What every trainer here is told beside its settings: where to write, and to ask nobody."""
    own = {"output_dir": str(stage.folder / "trainer"), "report_to": "none", "disable_tqdm": True, "use_cpu": True}
    sizes = {"per_device_train_batch_size": stage.batch_size, "dataloader_num_workers": stage.workers}
    return {**own, **sizes, "dataloader_pin_memory": False, **options}


def _read_trainer(stage: LoaderStage, rank: int, **options: Any) -> Iterator[Positions]:
    """``transformers.Trainer.get_train_dataloader`` over documents of one token: its sampler knows no lengths."""
    from transformers import Trainer, TrainingArguments

    data = _spelled(stage.positions, np.ones(len(stage.positions), np.int64))
    arguments = TrainingArguments(**_arguments(stage, options))
    trainer = Trainer(_make_model(), arguments, train_dataset=data, processing_class=_make_tokenizer())
    return _take_ids(_dealt(trainer, stage, rank))


def _read_trl(stage: LoaderStage, rank: int, **options: Any) -> Iterator[Positions]:
    """``trl.SFTTrainer.get_train_dataloader`` over documents of their true lengths, prepared (and packed) by TRL."""
    from trl import SFTConfig, SFTTrainer

    limit = count_trl(stage.tokens)
    data = _spelled(stage.positions[:limit], np.maximum(stage.tokens[:limit], 1))
    arguments = SFTConfig(**_arguments(stage, {"bf16": False, **options}))
    trainer = SFTTrainer(_make_model(), arguments, train_dataset=data, processing_class=_make_tokenizer())
    return _take_ids(_dealt(trainer, stage, rank))


def count_trl(tokens: Any) -> int:
    """How many documents ``SFTTrainer`` is given: all, or the first of a large export."""
    within = int(np.searchsorted(np.cumsum(tokens), TRL_TOKENS, side="right"))
    return max(1, min(len(tokens), TRL_DOCUMENTS, within))


def _dealt(trainer: Any, stage: LoaderStage, rank: int) -> Any:
    """The trainer's loader; that of one of several ranks is dealt by accelerate's own code."""
    if stage.ranks > 1:
        from accelerate.data_loader import prepare_data_loader

        def prepare(loader: Any) -> Any:
            known = {"num_processes": stage.ranks, "process_index": rank}
            return prepare_data_loader(loader, even_batches=True, use_seedable_sampler=True, **known)

        trainer.accelerator.prepare = prepare
    return trainer.get_train_dataloader()


def _make_model() -> Any:
    """A model small enough to make at once: its loaders do not ask what it knows."""
    from transformers import LlamaConfig, LlamaForCausalLM

    small = dict.fromkeys(("hidden_size", "intermediate_size", "vocab_size"), 8)
    ones = dict.fromkeys(("num_hidden_layers", "num_attention_heads", "num_key_value_heads"), 1)
    return LlamaForCausalLM(LlamaConfig(**small, **ones, pad_token_id=PAD, eos_token_id=EOS, bos_token_id=EOS))


def _make_tokenizer() -> Any:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = models.WordLevel({"<pad>": PAD, "<eos>": EOS}, unk_token="<pad>")
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer(words), pad_token="<pad>", eos_token="<eos>")


def versions(names: Sequence[str] = ("torch", "datasets", "transformers", "accelerate", "trl")) -> dict[str, str]:
    """The versions of the libraries that are replayed, of those that are installed."""
    from importlib import metadata

    return {name: metadata.version(name) for name in names if importlib.util.find_spec(name) is not None}
