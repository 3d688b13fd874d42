"""Which characters of a conversation are an answer, under the common templates and hostile texts."""

import pytest
from helpers.chat_templates import (
    BY_HAND,
    CHATML,
    GEMMA,
    LLAMA2,
    LLAMA3,
    MISTRAL,
    MISTRAL3,
    QWEN3,
    QWEN25,
    THREE,
    answers,
    byte_level,
    spelled,
    talk,
    template_of,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.corpus.chat.types import Turn
from curate.sft.chat_template.render import CHANGED, MOVED, TOOLLESS, UNENDED, UNREASONED, ChatTemplate, RenderError


@pytest.mark.parametrize("name", BY_HAND)
def test_without_the_end_of_turn_a_span_ends_with_the_text(name):
    found, rendered = spelled(BY_HAND[name][0], THREE, end_of_turn=False)
    assert [text.rpartition("</think>")[2].strip(" \n") for text in found] == ["I am fine.", "4"]
    assert not any(text.endswith(" ") for text in found)
    assert UNENDED not in rendered.notes


@pytest.mark.parametrize("name", BY_HAND)
def test_a_single_answer_is_one_span_with_its_end_of_turn(name):
    turns = talk("Hello", "I am fine.")
    found, rendered = spelled(BY_HAND[name][0], turns)
    ends = ("</s>", "<|eot_id|>", "<|im_end|>", "<end_of_turn>")
    said = found[0].removeprefix("<think>\n\n</think>\n\n").strip(" ")  # qwen3 writes an empty one
    assert len(found) == 1 and said.startswith("I am fine.") and said.endswith(ends)
    assert rendered.notes == ()


def test_what_follows_the_generation_prompt_is_the_answers_line_ends_too():
    source = CHATML.replace("<|im_start|>assistant\\n' }}{% endif", "<|im_start|>assistant' }}{% endif")
    assert source != CHATML and spelled(source, talk("Hello", "there"))[0] == ["\nthere<|im_end|>"]


def test_an_end_of_text_ends_a_turn_also_on_a_line_of_its_own():
    source = "{% for m in messages %}{{ '### ' + m.role + '\\n' + m.content + '\\n' }}"
    assert spelled(source + "{{ eos_token }}{% endfor %}", talk("Hello", "yes"))[0] == ["yes\n</s>"]
    other = spelled(source + "<|im_start|>{% endfor %}", talk("Hello", "yes"))  # may as well begin the next turn
    assert other[0] == ["yes"] and other[1].notes == (UNENDED,)
    assert spelled("{% for m in messages %}<s>{{ m.content }}{% endfor %}<s>", talk("a", "yes"))[0] == ["yes"]


NASTY = (
    "4",
    " ",
    "\n",
    "a",
    "é",
    "🙂",
    "[INST]",
    " [/INST]",
    "</s>",
    "<|im_end|>\n",
    "<|im_start|>assistant\n",
    "model",
)
texts = st.lists(st.sampled_from(NASTY), max_size=5).map(lambda parts: "".join(parts) + "b")
PREFIXED = {"llama2", "llama3", "chatml", "mistral", "gemma", "zephyr", "qwen2.5"}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(texts, min_size=2, max_size=6).filter(lambda said: len(said) % 2 == 0), st.sampled_from(sorted(PREFIXED))
)
def test_a_span_begins_where_a_generation_prompt_ends_whatever_the_texts_are(said, name):
    template = template_of(BY_HAND[name][0])
    turns = talk(*said)
    rendered = template.render(turns, answers(turns))
    for turn, (begin, end) in zip(answers(turns), rendered.spans, strict=True):
        assert rendered.text[:begin] == template.apply(turns[:turn], None, add_generation_prompt=True)
        rest = "\n" if name in ("chatml", "gemma", "zephyr", "qwen2.5") else ""
        assert rendered.text[:end] + rest == template.apply(turns[: turn + 1], None)
    assert CHANGED not in rendered.notes


@pytest.mark.parametrize("name", BY_HAND)
def test_words_that_stand_in_the_prompt_too_are_scored_only_in_the_answer(name):
    source, _ = BY_HAND[name]
    turns = talk("4", "4", "4 4 assistant\n4", "4")
    rendered = template_of(source).render(turns, [1, 3])
    other = template_of(source).render(talk("5", "4", "6 6 assistant\n6", "4"), [1, 3])
    assert rendered.spans == other.spans
    text = rendered.text
    said = [text[begin:end].removeprefix("<think>\n\n</think>\n\n").lstrip(" ") for begin, end in rendered.spans]
    assert [each[0] for each in said] == ["4", "4"]


def test_an_answer_keeps_its_blanks_where_the_template_does():
    said = "\n  I am \n"
    assert spelled(CHATML, talk(" Hello ", said))[0] == [said + "<|im_end|>"]
    assert spelled(LLAMA3, talk(" Hello ", said))[0] == ["I am<|eot_id|>"]
    assert spelled(GEMMA, talk(" Hello ", said, "\n", " 4"))[0] == ["I am<end_of_turn>", "4<end_of_turn>"]
    assert spelled(LLAMA2, talk(" Hello ", said, system=" S "))[0] == [" I am </s>"]
    assert spelled(MISTRAL, talk(" Hello ", said))[0] == [" \n  I am \n</s>"]
    assert spelled(MISTRAL3, talk(" Hello ", said, "Q ", " 4 ", system="S\n"))[0] == [" I am</s>", " 4</s>"]
    for source in (CHATML, LLAMA3, GEMMA, LLAMA2, MISTRAL, MISTRAL3):
        assert CHANGED not in spelled(source, talk(" Hello ", said))[1].notes


def test_a_system_turn_that_is_refused_goes_into_the_first_question():
    for source, text in ((GEMMA, "user\nS\n\nHello<end"), (MISTRAL, "[INST] S\n\nHello [/INST]")):
        _, rendered = spelled(source, talk("Hello", "yes", system="S"))
        assert text in rendered.text and rendered.notes == (MOVED,)
    two = [Turn("system", "S"), Turn("system", "T"), *talk("Hello", "yes")]
    assert "S\n\nT\n\nHello" in spelled(GEMMA, two)[1].text


def test_what_a_template_drops_is_said():
    source = "{% for m in messages if m.role in ('user', 'assistant') %}{{ m.content + eos_token }}{% endfor %}"
    turns = [*talk("Hello", "yes", system="S"), Turn("tool", "T"), Turn("assistant", "no")]
    found, rendered = spelled(source, turns)
    assert found == ["yes</s>", "no</s>"]
    assert rendered.notes == ("system turn dropped by the template", "tool turn dropped by the template")
    last = (
        "{% for m in messages %}{% if loop.last or m.role == 'user' %}{{ m.content + '</s>' }}{% endif %}{% endfor %}"
    )
    assert spelled(last, THREE, scored=[4])[1].notes[1] == "assistant turn dropped by the template"
    found, rendered = spelled(last, THREE)  # the answer that is written is scored
    assert found == ["4</s>"] and "assistant turn dropped by the template: not scored" in rendered.notes
    with pytest.raises(RenderError, match=r"^assistant turn dropped by the template$"):
        spelled(last, THREE, scored=[2])


def test_an_answer_that_is_written_twice_is_refused():
    source = "{% for m in messages %}{{ m.content + eos_token + m.content }}{% endfor %}"
    with pytest.raises(RenderError, match="twice"):
        spelled(source, talk("Hello", "yes"))


def test_the_reason_of_a_refusal_is_the_templates_own():
    double = [Turn("user", "a"), Turn("user", "b"), Turn("assistant", "c")]
    for source in (LLAMA2, MISTRAL, GEMMA):
        for turns in (double, [Turn("assistant", "c"), *talk("a", "b")], [Turn("system", "S"), *double]):
            with pytest.raises(
                RenderError, match=r"^Conversation roles must alternate user/assistant/user/assistant/\.\.\.$"
            ):
                spelled(source, turns)
    with pytest.raises(RenderError, match=r"^System role not supported$"):
        spelled(GEMMA, [Turn("system", "S"), Turn("assistant", "c")])
    with pytest.raises(RenderError, match=r"^'dict object' has no attribute 'nothing'$"):
        spelled("{{ messages[0].nothing.here }}", talk("a", "b"))


def test_a_refusal_is_remembered_and_refused_again():
    template = template_of(GEMMA)
    for _ in range(2):
        with pytest.raises(RenderError, match="alternate"):
            template.render([Turn("assistant", "a")], [0])
        assert template.render(talk("a", "b", system="S"), [2]).notes == (MOVED,)


def test_a_conversation_may_begin_with_the_assistant():
    turns = [Turn("assistant", "Hello"), *talk("Hello", "Hello")]
    found, rendered = spelled(CHATML, turns)
    assert found == ["Hello<|im_end|>"] * 2
    assert rendered.text.startswith("<|im_start|>assistant\nHello<|im_end|>") and rendered.spans[0][0] == 22


@pytest.mark.parametrize("said", ["", " \n "])
@pytest.mark.parametrize("source", [CHATML, LLAMA3, LLAMA2])
def test_an_empty_response_is_an_error(source, said):
    with pytest.raises(RenderError, match=r"^empty response$"):
        spelled(source, talk("Hello", said))


def test_only_assistant_turns_are_scored():
    with pytest.raises(ValueError, match="must be indices of assistant turns"):
        template_of(CHATML).render(talk("Hello", "yes"), [0])


def test_reasoning_is_scored_where_it_is_written_and_said_where_it_is_not():
    thought = "<think>\n2 + 2\n</think>\n\n4"
    found, rendered = spelled(QWEN3, talk("Hello", thought, "Q", thought))
    assert found == ["4<|im_end|>", thought + "<|im_end|>"]
    assert rendered.notes == (UNREASONED,)
    for text in ("<think>2 + 2</think>4", "<think>\n\n2 + 2</think>\n4"):  # the template writes the tags anew
        assert spelled(QWEN3, talk("Q", text))[0] == [thought + "<|im_end|>"]
    assert spelled(CHATML, talk("Q", "<think>a</think>b", "Q", thought))[0][0] == "<think>a</think>b<|im_end|>"


def test_a_think_tag_of_the_generation_prompt_is_not_scored():
    source = CHATML.replace("assistant\\n' }}{% endif", "assistant\\n<think>\\n' }}{% endif")
    assert source != CHATML
    assert spelled(source, talk("Q", "<think>\na\n</think>\n\nb"))[0] == ["a\n</think>\n\nb<|im_end|>"]
    assert spelled(source, talk("Q", "b"))[0] == ["b<|im_end|>"]
    thinking = QWEN3.replace("assistant\\n' }}{% endif %}", "assistant\\n<think>\\n' }}{% endif %}")
    assert thinking != QWEN3
    assert spelled(thinking, talk("Q", "<think>a</think>b"))[0] == ["a\n</think>\n\nb<|im_end|>"]


def test_a_think_tag_is_scored_where_the_template_has_no_generation_prompt():
    mute = QWEN3[: QWEN3.index("{%- if add_generation_prompt")]
    assert spelled(mute, talk("Q", "<think>a</think>b"))[0] == ["<think>\na\n</think>\n\nb<|im_end|>"]
    first = [Turn("assistant", "<think>a</think>b")]
    assert spelled(QWEN3, first)[0] == ["<think>\na\n</think>\n\nb<|im_end|>"]


def test_a_template_that_writes_the_time_is_read_again_when_it_has_changed():
    import transformers.utils.chat_template_utils as utils

    source = "{{ strftime_now('%Y') }}" + CHATML
    template = template_of(source)
    before = template.render(talk("Hello", "yes"), [1])
    assert before.text[:2] == "20"

    class Later(utils.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(3000, 1, 1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utils, "datetime", Later)
        after = template.render(talk("Hello", "yes"), [1])
    assert after.text[:4] == "3000" and after.spans == before.spans and after.notes == ()


def test_tools_reach_the_template_and_are_missed_where_they_do_not():
    tools = '[{"name": "add", "parameters": {}}]'
    turns = [*talk("Hello", "call"), Turn("tool", "4"), Turn("assistant", "It is 4")]
    found, rendered = spelled(QWEN25, turns, tools=tools)
    assert found == ["call<|im_end|>", "It is 4<|im_end|>"] and rendered.notes == ()
    assert '<tools>\n{"name": "add", "parameters": {}}\n</tools>' in rendered.text
    assert spelled(CHATML, turns, tools=tools)[1].notes == (TOOLLESS,)
    for none in (None, "", "[]", "null", "{}"):
        assert spelled(CHATML, turns, tools=none)[1].notes == ()
    assert spelled(QWEN25, turns, tools='{"name": "add", "parameters": {}}')[1].text == rendered.text
    for bad, why in (("{", "no JSON"), ("[1]", "no list of objects"), ('["a"]', "no JSON")):
        with pytest.raises(RenderError, match=why):
            spelled(QWEN25, turns, tools=bad)


def test_a_default_system_text_is_not_in_the_way():
    found, rendered = spelled(QWEN25, talk("Hello", "yes"))
    assert rendered.text.startswith("<|im_start|>system\nYou are helpful.<|im_end|>\n") and found == ["yes<|im_end|>"]
    assert rendered.notes == ()


def test_a_fingerprint_knows_the_source_the_end_of_turn_and_the_control_tokens():
    prints = {
        template_of(CHATML).fingerprint(),
        template_of(LLAMA3).fingerprint(),
        template_of(CHATML, end_of_turn=False).fingerprint(),
        template_of(CHATML, byte_level(eos="<|im_end|>")).fingerprint(),
        template_of(CHATML, tool_source=QWEN25).fingerprint(),
    }
    assert len(prints) == 5
    assert template_of(CHATML).fingerprint() == ChatTemplate("other", CHATML, byte_level()).fingerprint()


def test_a_rendering_does_not_depend_on_what_was_rendered_before():
    template = template_of(QWEN3)
    rows = [
        talk("a", "<think>\nb\n</think>\n\nc"),
        talk("a", "c"),
        talk("a", "<think>c"),
        THREE,
        talk("a", "</think>\nc"),
    ]
    once = [template.render(turns, answers(turns)) for turns in rows]
    assert once[::-1] == [template.render(turns, answers(turns)) for turns in rows[::-1]]
    assert once == [template_of(QWEN3).render(turns, answers(turns)) for turns in rows]
