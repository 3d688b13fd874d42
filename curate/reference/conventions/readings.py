"""How texts are read under a convention: the prefix token, the windows, and what stands around a text."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from curate.errors import ModelError, UsageError
from curate.reference.conventions.arguments import ConventionArguments, parse_arguments
from curate.reference.conventions.framing import UNFRAMED, TextFrame, find_added_tokens
from curate.reference.packing import WindowPolicy
from curate.reference.protocol import ScoringConfig, check_overlap

if TYPE_CHECKING:
    from curate.reference.checkpoints.checkpoint import Checkpoint

UNKNOWN_LIMIT = 2048  # the window for a model whose configuration does not state how many positions it reads


@dataclass(frozen=True, slots=True)
class TextReading:
    """How a model reads texts."""

    prefix: int | None
    """The id of the token in front of every text; None: none."""
    policy: WindowPolicy
    frame: TextFrame = UNFRAMED
    notes: tuple[str, ...] = ()
    """In what the tool's numbers differ from ours, a line each."""


def choose_reading(checkpoint: "Checkpoint", config: ScoringConfig) -> TextReading:
    """Return how texts are read: as the options say, or as a tool does.

    Raises UsageError for a window that the model cannot read or that is not longer than the overlap, ModelError where
    the tokenizer has no prefix token.
    """
    limit = checkpoint.readable()
    window = config.window or limit or UNKNOWN_LIMIT
    if limit and window > limit:
        hint = f"--window {limit}"
        raise UsageError(f"--window must be at most {limit}, the limit of {checkpoint.name}, not {window}", hint)
    check_overlap(config.overlap, window)
    arguments = parse_arguments(config.convention, config.convention_args)
    return READ_AS[config.convention](checkpoint, config, window, arguments)


def _read_as_ours(
    checkpoint: "Checkpoint", config: ScoringConfig, window: int, arguments: ConventionArguments
) -> TextReading:
    from curate.reference.checkpoints.checkpoint import prefix_token

    policy = WindowPolicy(window, config.overlap, config.window_prefix, False, config.max_tokens)
    return TextReading(prefix_token(checkpoint, config.prefix), policy)


def _read_as_lm_eval(
    checkpoint: "Checkpoint", config: ScoringConfig, window: int, arguments: ConventionArguments
) -> TextReading:
    """The text as the tokenizer encodes it, special tokens included, behind a prefix of lm-eval's own."""
    from curate.reference.checkpoints.checkpoint import check_row, open_tokenizer, prefix_token

    prefix, hint = arguments.prefix_token_id, "--convention-args prefix_token_id=0"
    prefix = prefix_token(checkpoint, "auto", hint) if prefix is None else check_row(checkpoint, prefix, hint)
    tokenizer, adds = checkpoint.tokenizer, arguments.add_bos_token
    if adds:
        changes = {"add_bos_token": True}
        tokenizer = open_tokenizer(checkpoint.name, config.revision, config.trust_remote_code, changes)
    before, after = ((), ()) if adds is False else find_added_tokens(tokenizer, checkpoint.name)
    begins = str(tokenizer.decode([prefix])) if before or after else ""
    if not begins:  # every text begins with a prefix that is spelled as nothing
        before, after = (), ()
    frame = TextFrame(before, after, unless_begins=begins, control_tokens=_obeys_control_tokens(tokenizer))
    return TextReading(prefix, WindowPolicy(window, fill_last=True, max_tokens=config.max_tokens), frame)


def _read_as_evaluate(
    checkpoint: "Checkpoint", config: ScoringConfig, window: int, arguments: ConventionArguments
) -> TextReading:
    """BOS, where there is one, and the beginning of the text, in one window."""
    from curate.reference.checkpoints.checkpoint import prefix_token

    if window < 2:
        raise UsageError(f"--window must be at least 2 with --convention evaluate, not {window}", "--window 2")
    tokenizer, starts = checkpoint.tokenizer, arguments.add_start_token
    hint = "--convention-args add_start_token=False"
    if starts and tokenizer.bos_token_id is None:
        if config.window is not None:
            message = f"the tokenizer of {checkpoint.name} has no BOS token, which evaluate puts first"
            raise ModelError(message, hint)
        starts = False  # the metric leaves it out where it is not given a max_length
    prefix = prefix_token(checkpoint, "bos" if starts else "none", hint)
    frame, notes = TextFrame(control_tokens=_obeys_control_tokens(tokenizer)), list[str]()
    if tokenizer.padding_side == "left":
        frame = replace(frame, pads_left=True, padding=_find_padding(tokenizer), padded_to=config.padded_to)
        if config.padded_to is None:
            notes.append("evaluate pads texts on the left for this tokenizer, to the longest; here they are not padded")
    if getattr(tokenizer, "truncation_side", "right") == "left":
        notes.append("evaluate cuts texts of this tokenizer off at their beginning (truncation_side), here at the end")
    return TextReading(prefix, WindowPolicy(window, max_tokens=window - 1 if starts else window), frame, tuple(notes))


def _read_as_guide(
    checkpoint: "Checkpoint", config: ScoringConfig, window: int, arguments: ConventionArguments
) -> TextReading:
    """The text as the tokenizer encodes it; of all that, the first token has nothing before it."""
    if window < 2:
        raise UsageError(f"--window must be at least 2 with --convention hf-guide, not {window}", "--window 2")
    tokenizer = checkpoint.tokenizer
    before, after = find_added_tokens(tokenizer, checkpoint.name)
    controls = _obeys_control_tokens(tokenizer)
    frame = TextFrame(before[1:], after, counts_added=True, control_tokens=controls)
    policy = WindowPolicy(window - 1, max_tokens=config.max_tokens, stride=arguments.stride)
    return TextReading(before[0] if before else None, policy, frame)


READ_AS: dict[str, Callable[["Checkpoint", ScoringConfig, int, ConventionArguments], TextReading]] = {
    "curate": _read_as_ours,
    "lm-eval": _read_as_lm_eval,
    "evaluate": _read_as_evaluate,
    "hf-guide": _read_as_guide,
}
"""How each convention reads, from a checkpoint, a config, the window and the tool's settings."""


def _obeys_control_tokens(tokenizer: Any) -> bool:
    return not getattr(tokenizer, "split_special_tokens", False)


def _find_padding(tokenizer: Any) -> int:
    """Return the id that evaluate pads with: the tokenizer's, else that of its first special token."""
    token = tokenizer.pad_token_id
    if token is None:
        first = next(iter(tokenizer.special_tokens_map.values()), None)
        token = None if first is None else tokenizer.convert_tokens_to_ids(str(first))
    if token is None:
        message = "evaluate pads texts, and the tokenizer has neither a padding token nor another special one"
        raise ModelError(message, "leave out --convention")
    return int(token)
