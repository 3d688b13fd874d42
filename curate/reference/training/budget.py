"""The training loop: step after step until the budget of time or tokens is spent.

The learning rate follows the share of the budget that is spent, so that it is zero at the end whichever budget ends the
training.
"""

import time
from collections.abc import Callable
from pathlib import Path

from transformers import LlamaForCausalLM

from curate.errors import Interrupted
from curate.reference.training.config import TrainingConfig
from curate.reference.training.output_folder import save_checkpoint
from curate.reference.training.packs import TrainingPack, Windows, make_packs, shuffle_order, take_spans
from curate.reference.training.token_cache import EncodedCorpus
from curate.reference.training.train_step import Trainer, learn_packs, recent_loss
from curate.runtime.console import progress, say

MEASUREMENTS = 10  # held-out measurements in one training, the last one included


def spend_budget(
    trainer: Trainer,
    encoded: EncodedCorpus,
    windows: Windows,
    config: TrainingConfig,
    measure: Callable[[LlamaForCausalLM], float],
    checkpoint: Path,
    checkpoint_seconds: float,
) -> None:
    """Train step after step until the budget is spent; measure, print and save a checkpoint now and then.

    ``measure`` returns held-out bits per byte. A checkpoint is saved every ``checkpoint_seconds``, and when the user
    interrupts, which raises Interrupted.
    """
    begun, saved = time.monotonic() - trainer.seconds, time.monotonic()
    share = share_spent(trainer, config)
    shown = int(share * 1_000_000)
    with progress("training", total_bytes=1_000_000, resumed_bytes=shown) as bar:
        try:
            while share < 1:
                packs = next_packs(trainer, encoded, windows, config)
                loss = learn_packs(trainer, packs, config, share)
                tokens = sum(pack.tokens for pack in packs)
                trainer.step += 1
                trainer.tokens += tokens
                trainer.places += sum(len(pack.inputs) for pack in packs)
                bar.advance(documents=sum(len(pack.lengths) for pack in packs), tokens=tokens)
                trainer.seconds = time.monotonic() - begun
                trainer.losses.append(loss)
                share = share_spent(trainer, config)
                bar.advance(done_bytes=int(share * 1_000_000) - shown)
                shown = int(share * 1_000_000)
                if int(share * MEASUREMENTS) > len(trainer.history) and share < 1:
                    note_measurement(trainer, share, measure(trainer.model))
                if time.monotonic() - saved >= checkpoint_seconds:
                    save_checkpoint(trainer, checkpoint)
                    saved = time.monotonic()
        except KeyboardInterrupt:
            save_checkpoint(trainer, checkpoint)
            done = f"stopped at {share:.0%} of the budget, after {trainer.tokens:,} tokens; nothing is lost"
            raise Interrupted(done, "the same command goes on from here") from None


def share_spent(trainer: Trainer, config: TrainingConfig) -> float:
    """Return the share of the budget that is spent, 1 at its end: of the time, of the tokens, or the larger of both."""
    of_time = trainer.seconds / (config.minutes * 60) if config.minutes else 0.0
    of_tokens = trainer.tokens / config.tokens if config.tokens else 0.0
    return min(1.0, max(of_time, of_tokens))


def next_packs(
    trainer: Trainer, encoded: EncodedCorpus, windows: Windows, config: TrainingConfig
) -> list[TrainingPack]:
    """Return the packs of the next step: ``batch_tokens`` of this pass over the corpus, or the rest of the pass."""
    epoch, first = divmod(trainer.places, windows.num_positions)
    order = shuffle_order(len(windows.begins), config.seed, epoch)
    begins, ends = take_spans(windows, order, first, first + config.batch_tokens)
    return make_packs(encoded.ids, begins, ends, config.packs, trainer.device)


def note_measurement(trainer: Trainer, share: float, bits: float) -> None:
    """Append a row to the history and print it; ``share`` of the budget is spent, ``bits`` are per byte, held out."""
    row = (share, trainer.tokens, recent_loss(trainer), bits)
    trainer.history.append(row)
    speed = trainer.tokens / max(trainer.seconds, 1e-9)
    say("held out", f"{share:4.0%}  {bits:.4f} bits per byte   loss {row[2]:.3f} nats per token   {speed:,.0f} tok/s")
