"""What is scored of an answer is what TRL trains on of a completion: all from where it leaves the generation prompt.

Of the chat templates of real models as they are, without marks of the assistant's text: TRL renders the messages before
an answer with the generation prompt, and all of them through it, and trains on what the second has more.
"""

import numpy as np
import pytest
from helpers.trainer_conversations import CONVERSATIONS
from helpers.trainer_masks import apply, compute_ours, list_runs, list_templates, prepare
from transformers import logging
from trl.trainer.sft_trainer import common_prefix_length

from curate.sft.chat_template.fitting import JOINED
from curate.sft.chat_template.render import MOVED, RenderError
from curate.sft.examples import NothingToLearnError

TEMPLATES = [name for name in list_templates() if not name.endswith("_training")]

HEADERS = ("<|im_start|>assistant\n", "<|start|>assistant")
"""Those of the templates that write reasoning only in the last answers: Qwen 3, gpt-oss."""


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_last_answer_is_what_trl_trains_on_of_a_completion(name):
    logging.set_verbosity_error()
    compared = 0
    for title, row in CONVERSATIONS.items():
        last = max(at for at, each in enumerate(row["messages"]) if each["role"] == "assistant")
        messages, tools = prepare(name, row)
        try:
            prompt = apply(name, messages[:last], tools, add_generation_prompt=True, return_dict=True)["input_ids"]
            full = apply(name, messages[: last + 1], tools, return_dict=True)["input_ids"]
            ours = compute_ours(name, {**row, "messages": row["messages"][: last + 1]})
        except (RenderError, NothingToLearnError):
            continue
        except Exception:
            continue  # a trainer cannot train on it
        if JOINED in ours.notes or MOVED in ours.notes or title == "typed parts" or ours.scored[-1] != last:
            continue
        assert ours.ids == list(full), title
        if len(ours.spans) < len(ours.scored):
            continue  # the template leaves out one of the answers
        mine = ours.mask & (ours.token_spans[:, 0] >= ours.spans[-1][0])
        theirs = np.arange(len(full)) >= common_prefix_length(list(prompt), list(full))
        kinds = [describe(ours, run, "TRL") for run in list_runs(theirs & ~mine)]
        kinds += [describe(ours, run, "curate") for run in list_runs(mine & ~theirs)]
        assert set(kinds) <= {"white space", "another context"}, (title, kinds)
        compared += 1
    assert compared >= 9, compared


def describe(ours, run, whose):
    """A known difference, or whose the run is and its text.

    ``white space`` behind the end of the turn; ``another context`` where the template writes the turns before the
    answer in another way than without it, and TRL trains on them from there.
    """
    begin, end = int(ours.token_spans[run[0], 0]), int(ours.token_spans[run[1] - 1, 1])
    text = ours.text[begin:end]
    if not text.strip() and begin == ours.spans[-1][1]:
        return "white space"
    is_context = whose == "TRL" and end == ours.spans[-1][0] and any(header in text[1:] for header in HEADERS)
    return "another context" if is_context else (whose, text)
