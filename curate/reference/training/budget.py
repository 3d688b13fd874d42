"""The budget and how it is spent: step after step until the time or the tokens are gone.

The rate of learning follows the share of the budget that is spent, so that it is zero at the end whichever budget
ends the training.
"""

import time
from collections.abc import Callable
from pathlib import Path

from transformers import LlamaForCausalLM

from curate.errors import Interrupted
from curate.reference.training.config import TrainingConfig
from curate.reference.training.output_folder import save_checkpoint
from curate.reference.training.packs import TrainingPack, Windows, make_packs, shuffled, take_spans
from curate.reference.training.token_cache import EncodedCorpus
from curate.reference.training.train_step import Trainer, learn_packs, recent_loss
from curate.runtime.console import progress, say

MEASUREMENTS = 10  # held-out measurements in one training, the last one included


def spend_budget(
    learner: Trainer,
    encoded: EncodedCorpus,
    windows: Windows,
    recipe: TrainingConfig,
    measure: Callable[[LlamaForCausalLM], float],
    state: Path,
    checkpoint_seconds: float,
) -> None:
    """Learn pack after pack until the budget is spent; measure, say and save now and then."""
    begun, saved = time.monotonic() - learner.seconds, time.monotonic()
    share = share_spent(learner, recipe)
    shown = int(share * 1_000_000)
    with progress("training", total_bytes=1_000_000, resumed_bytes=shown) as bar:
        try:
            while share < 1:
                packs = next_packs(learner, encoded, windows, recipe)
                loss = learn_packs(learner, packs, recipe, share)
                tokens = sum(pack.tokens for pack in packs)
                learner.step += 1
                learner.tokens += tokens
                learner.places += sum(len(pack.inputs) for pack in packs)
                bar.advance(documents=sum(len(pack.lengths) for pack in packs), tokens=tokens)
                learner.seconds = time.monotonic() - begun
                learner.losses.append(loss)
                share = share_spent(learner, recipe)
                bar.advance(done_bytes=int(share * 1_000_000) - shown)
                shown = int(share * 1_000_000)
                if int(share * MEASUREMENTS) > len(learner.history) and share < 1:
                    note_measurement(learner, share, measure(learner.model))
                if time.monotonic() - saved >= checkpoint_seconds:
                    save_checkpoint(learner, state)
                    saved = time.monotonic()
        except KeyboardInterrupt:
            save_checkpoint(learner, state)
            done = f"stopped at {share:.0%} of the budget, after {learner.tokens:,} tokens; nothing is lost"
            raise Interrupted(done, "the same command goes on from here") from None


def share_spent(learner: Trainer, recipe: TrainingConfig) -> float:
    """The share of the budget that is spent, 1 at its end: of the time, of the tokens, or the larger of both."""
    of_time = learner.seconds / (recipe.minutes * 60) if recipe.minutes else 0.0
    of_tokens = learner.tokens / recipe.tokens if recipe.tokens else 0.0
    return min(1.0, max(of_time, of_tokens))


def next_packs(
    learner: Trainer, encoded: EncodedCorpus, windows: Windows, recipe: TrainingConfig
) -> list[TrainingPack]:
    """What follows in this pass over the corpus: a step's worth of tokens, or the rest of the pass."""
    epoch, first = divmod(learner.places, windows.places)
    order = shuffled(len(windows.begins), recipe.seed, epoch)
    begins, ends = take_spans(windows, order, first, first + recipe.batch_tokens)
    return make_packs(encoded.ids, begins, ends, recipe.packs, learner.device)


def note_measurement(learner: Trainer, share: float, bits: float) -> None:
    """Keep one row of history, and say it."""
    row = (share, learner.tokens, recent_loss(learner), bits)
    learner.history.append(row)
    speed = learner.tokens / max(learner.seconds, 1e-9)
    say("held out", f"{share:4.0%}  {bits:.4f} bits per byte   loss {row[2]:.3f} nats per token   {speed:,.0f} tok/s")
