"""TRAINING.md of an ordered export: the settings under which trainers keep the order, and what no setting keeps.

Every setting was read in the source of the version in ``SEEN``. ``curate verify`` also replays those of torch,
transformers and TRL; the others it does not.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from curate.exports.formats.shards import FORMATS, list_shards

NAME = "TRAINING.md"
SEEN = {
    "torch": "2.13.0",
    "datasets": "5.2.0",
    "transformers": "5.23.0",
    "accelerate": "1.15.0",
    "TRL": "1.16.0",
    "Axolotl": "0.18.0 (commit 067b021, 2026-07-24)",
    "LLaMA-Factory": "0.9.6.dev0 (commit ff6d4d1, 2026-08-18)",
    "Megatron-LM": "core 0.20.0 (commit d98e8a6, 2026-08-22)",
}
REPLAYED = "Replayed by `curate verify`"
NOT_REPLAYED = "From its source, not replayed here"


def write_training(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write ``TRAINING.md`` into an ordered export with this manifest."""
    (folder / NAME).write_text(make_training(manifest), encoding="utf-8")


def make_training(manifest: Mapping[str, Any]) -> str:
    """Return the text of ``TRAINING.md``."""
    sections = {
        "The order": _order(manifest),
        **(_text_sections(manifest) if _holds_text(manifest) else _token_sections(manifest)),
        "What no setting keeps": _limits(),
        "Versions": [f"- {name} {version}" for name, version in SEEN.items()],
    }
    body = ["\n".join([f"## {title}", "", *lines]) for title, lines in sections.items()]
    return "\n\n".join(["# Training in this order", _first(manifest), *body]) + "\n"


def _holds_text(manifest: Mapping[str, Any]) -> bool:
    return FORMATS[manifest["format"]].holds_text


def _first(manifest: Mapping[str, Any]) -> str:
    replays = "replays the loaders of PyTorch, transformers and TRL."
    check = replays if _holds_text(manifest) else "checks the files."
    lines = (
        "The documents of this folder stand in the order in which they are to be read.",
        "Most trainers shuffle unless they are told not to.",
        f"`curate verify OUT` {check} `OUT` stands for the path of this folder.",
    )
    return "\n".join(lines)


def _order(manifest: Mapping[str, Any]) -> list[str]:
    shards = list_shards(manifest["files"], manifest["format"])
    options = ", ".join(f"{key} `{value}`" for key, value in manifest.get("order", {}).items() if _is_plain(value))
    many = "shard" if len(shards) == 1 else "shards"
    total = (manifest if _holds_text(manifest) else manifest["tokenised"])["tokens"]
    lines = [
        f"- {manifest['rows']:,} documents, {total:,} tokens, {len(shards):,} {many} ({manifest['format']})",
        *_describe_tokens(manifest),
        *([f"- made with `curate order`: {options}"] if options else []),
        "- the sorted names of the shards are the reading order, and the rows inside each",
        "- `order.parquet` has the position, shard, row and cumulative tokens of every document",
    ]
    folders = (manifest.get("buckets") or {}).get("folders")
    if folders:
        named = ", ".join(f"`{name}`" for name in folders)
        lines.append(f"- one folder and one config a bucket: {named}; each is in order, and `default` is one after the")
        lines.append("  other; a mixer that draws from several makes an order of its own")
    return lines


def _describe_tokens(manifest: Mapping[str, Any]) -> list[str]:
    """Return whose tokens are counted: of text they are those of the model that scored it."""
    if not _holds_text(manifest):
        return []
    most = manifest.get("tokens_counted")
    first = f", of which the first {most:,} of each document are counted" if most else ""
    return [f"- tokens are those of the model that scored the documents{first}; your tokenizer counts others"]


def _is_plain(value: Any) -> bool:
    return isinstance(value, (str, int, float)) and not isinstance(value, bool)


def _text_sections(manifest: Mapping[str, Any]) -> dict[str, list[str]]:
    field = manifest.get("text_field", "text")
    return {
        "PyTorch DataLoader": _dataloader(manifest),
        "transformers Trainer": _trainer(),
        "TRL SFTTrainer": _trl(field),
        "Axolotl": _axolotl(field),
        "LLaMA-Factory": _llama_factory(field),
    }


def _dataloader(manifest: Mapping[str, Any]) -> list[str]:
    load = 'datasets.load_dataset("OUT", split="train")'
    if FORMATS[manifest["format"]].loads_from_disk and not (manifest.get("buckets") or {}).get("folders"):
        load = 'datasets.load_from_disk("OUT")["train"]'
    num_shards = len(list_shards(manifest["files"], manifest["format"]))
    return [
        f"{REPLAYED} (`--loader dataloader`, `--loader streaming`).",
        "",
        "```python",
        f"documents = {load}",
        "loader = DataLoader(documents, batch_size=8, shuffle=False)      # one process",
        "",
        "sampler = DistributedSampler(documents, shuffle=False)           # several ranks; its default is True",
        "loader = DataLoader(documents, batch_size=8, sampler=sampler)",
        "```",
        "",
        "- `num_workers` may be what you like: a map-style data set keeps its order (`in_order=True`, the default).",
        "- `load_dataset(..., streaming=True)`: no `.shuffle()`, which also shuffles the shards, and `num_workers=0`.",
        f"  Shards are dealt to workers, and to ranks by `split_dataset_by_node`; here there {_count(num_shards)}.",
        "- Several ranks read a step side by side; inside a step the order means nothing.",
    ]


def _count(shards: int) -> str:
    return "is one, read by one worker" if shards == 1 else f"are {shards}, and the order is lost"


def _trainer() -> list[str]:
    return [
        f"{REPLAYED} (`--loader trainer`). The default of `train_sampling_strategy` is `random`.",
        "",
        "```python",
        'arguments = TrainingArguments(..., train_sampling_strategy="sequential")',
        "Trainer(model, arguments, train_dataset=documents.map(tokenize, batched=True))   # documents as above",
        "```",
        "",
        "- Not `group_by_length` and not `batch_rebalance`: both choose by length.",
        "- With several ranks accelerate deals whole batches in turns and fills the last step with documents of the",
        "  beginning (`accelerator_config={'even_batches': True}`, the default).",
        "- `map` keeps rows in place, with `num_proc` too: each process has consecutive rows, joined in their order",
        "  (`Dataset.map` of datasets 5.2.0). `.shuffle()` does not.",
    ]


def _trl(field: str) -> list[str]:
    return [
        f"{REPLAYED} (`--loader trl`, with and without packing).",
        "",
        "```python",
        "arguments = SFTConfig(",
        f'    ..., dataset_text_field="{field}", train_sampling_strategy="sequential", shuffle_dataset=False,',
        '    packing=False,                              # or packing=True with packing_strategy="wrapped"',
        ")",
        "```",
        "",
        '- `packing=True` alone packs by best fit decreasing (`packing_strategy="bfd"`; `"bfd_split"` too): the',
        "  longest of each thousand come first. `wrapped` keeps the order, and cuts documents where a sequence ends.",
        "- `max_length` (1024) cuts the rest of a longer document off, but for `wrapped` and `bfd_split`.",
    ]


def _axolotl(field: str) -> list[str]:
    return [
        f"{NOT_REPLAYED}.",
        "",
        "```yaml",
        "datasets:",
        "  - path: OUT",
        "    type: completion",
        f"    field: {field}",
        "    split: train",
        "shuffle_merged_datasets: false   # default true",
        "curriculum_sampling: true        # a sequential sampler; without it the sampler is random",
        "sample_packing: false            # or true together with the next line",
        "sample_packing_sequentially: true",
        "val_set_size: 0                  # a split is drawn at random",
        "```",
        "",
        "- Leave out `group_by_length` and `shuffle_before_merging_datasets`.",
        "- `pretraining_dataset` (streaming): `shuffle_merged_datasets: false` and `sample_packing: false`. With",
        "  `sample_packing: true` it packs in random order within `streaming_multipack_buffer_size` documents.",
    ]


def _llama_factory(field: str) -> list[str]:
    return [
        f"{NOT_REPLAYED}.",
        "",
        "```yaml",
        "dataset: ordered                 # the name in dataset_info.json, see below",
        "stage: pt                        # or sft",
        "disable_shuffling: true          # default false",
        "streaming: false                 # streaming shuffles with buffer_size and asks nobody",
        "mix_strategy: concat             # the default",
        "val_size: 0.0                    # the default; a split is drawn at random",
        "```",
        "",
        "```json",
        f'"ordered": {{"hf_hub_url": "OUT", "columns": {{"prompt": "{field}"}}}}',
        "```",
        "",
        "- That entry of `dataset_info.json` goes to `datasets.load_dataset`, which reads a folder, too.",
        "- `file_name` with a folder reads the files as `os.listdir` lists them, in no order; one file is safe.",
        "  (These two were read in an earlier commit, 01d3ac6.)",
        "- `num_samples` in the entry draws documents at random: leave it out.",
        "- `stage: pt` packs by default, in order: it joins `preprocessing_batch_size` (1000) documents and drops what",
        "  does not fill the last block of each group.",
        "- `stage: sft` with `packing` or `neat_packing` fills knapsacks longest first: `packing: false`.",
    ]


def _token_sections(manifest: Mapping[str, Any]) -> dict[str, list[str]]:
    notes = manifest["tokenised"]
    facts = [
        f"- tokenizer `{notes['tokenizer']}`, hash `{notes['tokenizer_hash']}`",
        f"- {notes['vocabulary']:,} entries, ids as {notes['dtype']}; after each document: {notes['append']}",
        "- `documents.parquet`: where each document lies (shard, start, tokens) and which it is (file, row)",
        "",
    ]
    return {"Token files": facts + (_megatron() if notes["layout"] == "megatron" else _numpy())}


def _megatron() -> list[str]:
    return [
        f"{NOT_REPLAYED}. `IndexedDataset` of Megatron-LM reads each pair (path without `.bin`) in order.",
        "",
        "Its `GPTDataset` has no switch for the order: it shuffles documents (`_build_document_index`) and samples",
        "(`_build_shuffle_index`) with its seed. To keep the order read `IndexedDataset` yourself, with",
        "`--dataloader-type external`, or override these two functions to give 0, 1, 2 ...",
    ]


def _numpy() -> list[str]:
    return [
        "Memory maps, read by position; nothing shuffles them but your own loop.",
        "",
        "```python",
        'for path in sorted(glob.glob("OUT/tokens/train-*-of-*.npy")):',
        '    if not path.endswith(".offsets.npy"):',
        '        ids = numpy.load(path, mmap_mode="r")                       # documents one after the other',
        '        offsets = numpy.load(path[:-4] + ".offsets.npy")            # document n: offsets[n]:offsets[n + 1]',
        "```",
        "",
        "A loader that draws random offsets has no order; step from block to block instead.",
    ]


def _limits() -> list[str]:
    return [
        "- A second epoch reads the same order again under the settings above. A curriculum is made for one pass.",
        "- Resuming inside an epoch keeps the order only if the trainer skips what it has read: in transformers",
        "  `ignore_data_skip=False`, the default, with the same batch size and the same number of ranks.",
        "- Several data sets mixed by weights have the order of the mixer.",
        "- Gradient accumulation changes nothing about the order.",
        "- Documents that a trainer drops or cuts (`max_length`, `dataset_exact_deduplication` ...) leave gaps.",
    ]
