"""Templates at the edges: texts that they trim or take apart, tools, caches, endings that begin alike, refusals."""

import json

import numpy as np
import pytest
from helpers.chat_templates import (
    CHATML,
    CONTROLS,
    GENERATION,
    THREE,
    byte_level,
    owned,
    spelled,
    talk,
    template_of,
    tokens_of,
)
from transformers import PreTrainedTokenizerFast

from curate.corpus.chat.types import Turn
from curate.sft.chat_template.delimiters import locate_between, locate_texts, read_delimiters
from curate.sft.chat_template.loss_mask import audit_mask
from curate.sft.chat_template.render import UNREASONED, RenderError, RenderRefusal

TOOLS = json.dumps([{"type": "function", "function": {"name": "add", "parameters": {}}}])
TRIMMING = """\
{% for m in messages %}{% set text = m.content.split('</think>')[-1] %}{{ '<|im_start|>' + m.role + '|' }}\
{{ (text.TRIM if m.role == 'assistant' else m.content) + '<|im_end|>' }}{% endfor %}"""


THOUGHT = "<think>so it is</think>"


@pytest.mark.parametrize(
    ("thought", "trim", "written"),
    [
        ("", "rstrip()", "\n\n a b"),
        ("", "strip('\\n')", " a b "),
        *(
            (thought, trim, written)
            for thought in ("", THOUGHT)
            for trim, written in (
                ("strip()", "a b"),
                ("lstrip()", "a b \n"),
                ("lstrip('\\n')", " a b \n"),
                ("replace('', '')", "\n\n a b \n"),
            )
        ),
    ],
)
def test_a_text_is_located_in_every_form_in_which_templates_write_it(thought, trim, written):
    """Exactly, by its own words: the note that the template changed the texts would say that it was not."""
    source = TRIMMING.replace("TRIM", trim)
    found, rendered = spelled(source, talk(" Hello ", f"{thought}\n\n a b \n", " so ", "yes"))
    assert found == [f"{written}<|im_end|>", "yes<|im_end|>"]
    assert rendered.notes == ((UNREASONED,) if thought else ())


@pytest.mark.parametrize(("trim", "cut"), [("lstrip()", "\n "), ("lstrip('\\n')", "\n")])
def test_blanks_that_a_template_takes_from_before_reasoning_are_no_change(trim, cut):
    said = "\n <think>so</think> a \n"
    source = TRIMMING.replace(".split('</think>')[-1]", "").replace("TRIM", trim)
    found, rendered = spelled(source, talk(" Hello ", said))
    assert found == [said.removeprefix(cut) + "<|im_end|>"] and rendered.notes == ()


def test_reasoning_that_the_template_keeps_is_part_of_the_answer_and_not_lost():
    said = "<think>two and two</think>four"
    found, rendered = spelled(CHATML, talk("Hello", said, "so", said))
    assert found == [f"{said}<|im_end|>"] * 2 and rendered.notes == ()


@pytest.mark.parametrize(
    ("open_tag", "begins"), [("'<think>\\n'", "<think>\n"), ("'<think>'", ""), ("'<thought>\\n'", "")]
)
def test_the_tag_that_opens_rewritten_reasoning_is_scored_where_it_is_the_one_that_models_write(open_tag, begins):
    source = (
        "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' }}{% if m.role == 'assistant' %}"
        "{{ " + open_tag + " + m.content.split('</think>')[0].split('<think>')[-1].strip() + '~~' }}"
        "{{ m.content.split('</think>')[-1].strip() }}{% else %}{{ m.content }}{% endif %}"
        "{{ '<|im_end|>' }}{% endfor %}"
    )
    found, rendered = spelled(source, talk("Hello", "<think>two and two</think>\n\nfour"))
    assert found == [f"{begins}two and two~~four<|im_end|>"] and UNREASONED not in rendered.notes


def test_a_rendering_without_any_text_of_a_turn_locates_none():
    nothing = read_delimiters("just this")
    assert nothing.pieces == ("just this",) and nothing.slots == ()
    assert locate_between(nothing, "just this") is None
    assert locate_texts(nothing, "just this", []) == [] and locate_texts(nothing, "just thus", []) is None


def test_the_template_runs_once_for_a_conversation_of_roles_that_it_has_seen():
    """Once for the texts; the delimiters, the generation prompts and the tools of its kind are cached."""
    source = "{{ tools | tojson if tools }}" + CHATML
    template, calls = template_of(source, PreTrainedTokenizerFast(tokenizer_object=byte_level().backend_tokenizer)), []
    apply = template.tokenizer.apply_chat_template
    template.tokenizer.apply_chat_template = lambda *args, **options: calls.append(args) or apply(*args, **options)
    for tools in (None, TOOLS):
        template.render(talk("Hello", "one", "so", "two"), [1, 3], tools)
        calls.clear()
        rendered = template.render(talk("Hi", "three", "and", "four"), [1, 3], tools)
        assert len(calls) == 1 and rendered.notes == ()
        assert rendered.text.startswith('[{"type"') is (tools is not None)


def test_a_system_turn_that_is_refused_only_without_tools_stays_with_them():
    refuse = "{% if messages[0].role == 'system' and not tools %}{{ raise_exception('No system role') }}{% endif %}"
    template = template_of(refuse + GENERATION)
    turns = talk("Hello", "yes", system="Be brief.")
    assert "<|im_start|>system" not in template.render(turns, [2]).text
    rendered = template.render(turns, [2], TOOLS)
    assert rendered.text.startswith("<|im_start|>system\nBe brief.<|im_end|>")
    tokens = tokens_of(rendered)
    found = audit_mask(template, turns, rendered, tokens, TOOLS)
    assert (found.both, found.ours, found.theirs) == (len(owned(rendered)), 0, 0) and found.both >= 2


def test_a_system_turn_that_is_refused_is_moved_where_the_template_asks_for_tools_too():
    refuse = "{% if messages[0].role == 'system' or not tools %}{{ raise_exception('No system role') }}{% endif %}"
    template, turns = template_of(refuse + CHATML), talk("Hello", "yes", system="Be brief.")
    assert template.render(turns, [2], TOOLS).text.startswith("<|im_start|>user\nBe brief.\n\nHello<|im_end|>")
    with pytest.raises(RenderRefusal, match="No system role"):
        template.render(turns, [2])


def test_an_audit_of_a_conversation_with_an_answer_that_cannot_be_scored_is_of_the_others():
    template = template_of(GENERATION)
    turns = talk("Hello", "", "2 + 2", "4")
    rendered = template.render(turns, [3])
    found = audit_mask(template, turns, rendered, tokens_of(rendered))
    assert (found.both, found.ours, found.theirs) == (2, 0, 1)
    assert found.theirs_texts == ("<|im_end|>",)


@pytest.mark.parametrize("turns", [THREE, talk("", "")])
def test_ids_and_owners_have_32_bits_and_spans_64(turns):
    template = template_of("{% for m in messages %}{{ m.content }}{% endfor %}")
    rendered = template.render(turns, [])
    tokens = tokens_of(rendered)
    assert (tokens.ids.dtype, tokens.owner.dtype, tokens.spans.dtype) == (np.int32, np.int32, np.int64)
    assert tokens.spans.shape == (len(tokens.ids), 2) and (tokens.owner == -1).all()


@pytest.mark.parametrize("written", ["<end", "<end>", "<end>>"])
def test_of_control_tokens_that_begin_alike_the_longest_ends_a_turn(written):
    tokenizer = byte_level(controls=(*CONTROLS, "<end>>", "<end", "<end>"))
    source = "{% for m in messages %}{{ m.role + ': ' + m.content + 'END' }}{% endfor %}".replace("END", written)
    rendered = template_of(source, tokenizer).render(talk("Hello", "yes"), [1])
    assert [rendered.text[begin:end] for begin, end in rendered.spans] == [f"yes{written}"]


def test_the_end_of_turn_token_of_a_tokenizer_ends_a_turn_though_it_is_no_control_token():
    source = "{% for m in messages %}{{ m.role + ': ' + m.content + '[/e]' }}{% endfor %}"
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=byte_level().backend_tokenizer)
    for eot, text in ((None, "yes"), ("[/e]", "yes[/e]")):
        tokenizer.eot_token = eot
        rendered = template_of(source, tokenizer).render(talk("Hello", "yes"), [1])
        assert [rendered.text[begin:end] for begin, end in rendered.spans] == [text]


@pytest.mark.parametrize(
    ("raised", "reason"),
    [
        ("x" * 120, "x" * 120),
        ("x" * 121, "x" * 119 + "…"),
        (" no  such\\nrole ", "no such role"),
        ("", "TemplateError"),
    ],
)
def test_the_reason_of_a_refusal_is_one_line_of_at_most_120_characters(raised, reason):
    template = template_of("{{ raise_exception('" + raised + "') }}")
    with pytest.raises(RenderRefusal) as found:
        template.render(talk("Hello", "yes"), [1])
    assert str(found.value) == reason


def test_only_turns_of_the_assistant_are_scored():
    with pytest.raises(ValueError, match="assistant"):
        template_of(CHATML).render(talk("Hello", "yes"), [0])
    with pytest.raises(RenderError, match="empty response"):
        template_of(CHATML).render([Turn("user", "Hello"), Turn("assistant", " \n ")], [1])
