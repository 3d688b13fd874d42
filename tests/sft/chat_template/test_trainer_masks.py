"""What is scored is what TRL trains on with ``assistant_only_loss``, but for the differences that the README lists.

Of every training template that TRL brings, and of every conversation: the token ids are equal, nothing is scored that
TRL does not train on, and what TRL alone trains on is one of three things (``NAMES``).
"""

import pytest
from helpers.trainer_conversations import CONVERSATIONS
from helpers.trainer_masks import apply, compute_ours, list_runs, list_templates, prepare
from transformers import logging

from curate.sft.chat_template.fitting import JOINED
from curate.sft.chat_template.render import CALLLESS, MOVED, RenderError

TEMPLATES = list_templates("_training")
NAMES = ("white space", "prompt", "unscored turn")
"""White space behind the end of a turn; what the generation prompt writes; a turn that has no answer for us."""


def find_difference(name, row, ours, run):
    """The kind of a run of tokens that TRL alone trains on, or its text."""
    begin, end = int(ours.token_spans[run[0], 0]), int(ours.token_spans[run[1] - 1, 1])
    text = ours.text[begin:end]
    if not text.strip() and any(span[1] == begin for span in ours.spans):
        return "white space"
    messages, tools = prepare(name, row)
    for turn, span in zip(ours.scored, ours.spans, strict=True):
        if span[0] == end:
            prompt = apply(name, messages[:turn], tools, tokenize=False, add_generation_prompt=True)
            return "prompt" if prompt.startswith(ours.text[:end]) or prompt.endswith(text) else text
    inside = any(span[0] < end and begin < span[1] for span in ours.spans)
    others = [at for at, each in enumerate(messages) if each["role"] == "assistant" and at not in ours.scored]
    return text if inside or not others else "unscored turn"


@pytest.mark.parametrize("template", TEMPLATES)
def test_the_loss_mask_is_that_of_trl(template):
    logging.set_verbosity_error()
    name, compared, refused = f"{template}_training", 0, list[str]()
    for title, row in list(CONVERSATIONS.items())[TEMPLATES.index(template) % 2 :: 2]:  # two templates share all
        messages, tools = prepare(name, row)
        try:
            theirs = apply(name, messages, tools, return_dict=True, return_assistant_tokens_mask=True)
        except Exception:
            continue  # a trainer cannot train on it
        try:
            ours = compute_ours(name, row)
        except RenderError as error:
            refused.append(str(error))
            continue
        if JOINED in ours.notes or MOVED in ours.notes or (title == "typed parts" and ours.ids != theirs["input_ids"]):
            assert title == "typed parts"
            continue
        assert ours.ids == list(theirs["input_ids"]), title
        mask = [bool(each) for each in theirs["assistant_masks"]]
        only_ours = [ours.text[slice(*ours.token_spans[at])] for at in range(len(mask)) if ours.mask[at] > mask[at]]
        assert only_ours == [], title
        if len(ours.spans) == len(ours.scored):
            runs = list_runs([theirs > our for theirs, our in zip(mask, ours.mask, strict=True)])
            kinds = [find_difference(name, row, ours, run) for run in runs]
            assert set(kinds) <= set(NAMES), (title, kinds)
        compared += 1
    assert compared >= 5 and set(refused) <= {CALLLESS}


def test_at_least_fifteen_templates_are_compared():
    assert len(TEMPLATES) >= 15 and len(CONVERSATIONS) >= 20
