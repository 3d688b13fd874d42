"""Messages reach a template in the form that it takes, and what it leaves out is said."""

import json

import pytest
from helpers.chat_templates import byte_level, template_of
from helpers.trainer_conversations import ASKED, ID, TOOLS, answer, call, calling, result, said
from helpers.trainer_masks import compute_ours, make_tokenizer

from curate.sft.chat_template.choose import choose_template
from curate.sft.chat_template.fitting import AS_JSON, IDENTIFIED, JOINED
from curate.sft.chat_template.render import CALLLESS, UNREASONED, RenderError
from curate.sft.examples import read_examples, scored_turns

ARGUMENTS = {"a": 2, "place": "Zürich"}
WRITTEN = '{"a": 2, "place": "Zürich"}'
FORMS = {
    "qwen2_5": '<tool_call>\n{"name": "add", "arguments": ' + WRITTEN + "}\n</tool_call><|im_end|>",
    "qwen3": "<think>\n\n</think>\n\n<tool_call>\n"
    '{"name": "add", "arguments": ' + WRITTEN + "}\n</tool_call><|im_end|>",
    "llama3_1": '{"name": "add", "parameters": ' + WRITTEN + "}<|eot_id|>",
    "deepseekv3": "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>add\n```json\n"
    + WRITTEN
    + "\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜><｜end▁of▁sentence｜>",
    "gptoss": " to=functions.add<|channel|>commentary json<|message|>" + WRITTEN + "<|call|>",
    "lfm2_v2": "<|tool_call_start|>[add(a=2, place='Zürich')]<|tool_call_end|><|im_end|>",
    "glm4moe": "\n<think></think>\n<tool_call>add\n<arg_key>a</arg_key>\n<arg_value>2</arg_value>\n"
    "<arg_key>place</arg_key>\n<arg_value>Zürich</arg_value>\n</tool_call>",
}
SOURCES = {
    "as ours": {"messages": [ASKED, calling(call(arguments=ARGUMENTS, id=ID))], "tools": TOOLS},
    "arguments as JSON": {"messages": [ASKED, calling(call(arguments=WRITTEN), content=None)], "tools": TOOLS},
    "fields of others as null": {
        "messages": [
            {**ASKED, "tool_calls": None, "name": None, "thinking": None},
            calling(call(arguments=ARGUMENTS), content=None, reasoning_content=None, tool_call_id=None),
        ],
        "tools": json.dumps(TOOLS),
    },
    "a role of its own": {
        "messages": [ASKED, {"role": "function_call", "content": json.dumps({"name": "add", "arguments": ARGUMENTS})}],
        "tools": TOOLS,
    },
    "a typed part": {
        "messages": [
            ASKED,
            {
                "role": "assistant",
                "content": [
                    {"type": "tool_call", "value": json.dumps({"name": "add", "arguments": ARGUMENTS}), "text": None}
                ],
            },
        ],
        "tools": TOOLS,
    },
    "an old function_call": {
        "messages": [
            ASKED,
            {"role": "assistant", "content": "", "function_call": {"name": "add", "arguments": WRITTEN}},
        ],
        "tools": TOOLS,
    },
}


def spell(source, row, tokenizer=None):
    """What the spans of a row hold, and the rendering."""
    (example,) = read_examples(row, "messages")
    template = template_of(source, tokenizer or byte_level())
    rendered = template.render(example.conversation, scored_turns(example, "all"), example.tools)
    return [rendered.text[begin:end] for begin, end in rendered.spans], rendered


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("name", FORMS)
def test_a_call_is_written_as_the_template_writes_it(name, source):
    ours = compute_ours(name, SOURCES[source])
    assert [ours.text[slice(*span)] for span in ours.spans] == [FORMS[name]]


MISTRAL = """\
{{- bos_token }}{% for m in messages %}{% if m.role == 'user' %}{{ '[INST] ' + m.content + '[/INST]' }}
{%- elif m.role == 'tool' %}{{ '[TOOL_RESULTS] {"content": ' + m.content | tojson + ', "call_id": "' + m.tool_call_id }}
{{- '"}[/TOOL_RESULTS]' }}
{%- elif m.tool_calls %}{{ '[TOOL_CALLS] [' }}{% for c in m.tool_calls %}
{%- if c.id is not defined or c.id | length != 9 %}{{ raise_exception('ids of 9 characters') }}{% endif %}
{{- (c.function | tojson)[:-1] + ', "id": "' + c.id + '"}' }}{{ ', ' if not loop.last }}{% endfor %}
{{- ']' + eos_token }}
{%- else %}{{ ' ' + m.content + eos_token }}{% endif %}{% endfor %}"""
PYTHONIC = """\
{% for m in messages %}{{ '<|im_start|>' + m.role + '|' }}{% if m.content %}{{ m.content }}{% endif %}
{%- for c in m.tool_calls or [] %}{{ '<|tool_call|>[{"name": "' ~ c.function.name ~ '", "arguments": ' }}
{{- c.function.arguments }}{{ '}]<|/tool_call|>' }}{% endfor %}{{ '<|im_end|>' }}{% endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant|' }}{% endif %}"""
PROMPTING = """\
{% for m in messages %}{{ ('<|im_start|>' if m.role == 'assistant' else '<start_of_turn>') + m.content }}
{%- for c in m.tool_calls or [] %}
{{- '<|eot_id|>' + c.function | tojson }}{% endfor %}{{ '</s><|im_end|>' }}{% endfor %}{{ '<|im_start|>' }}"""


@pytest.mark.parametrize(
    ("given", "id_1", "id_2"),
    [((ID, "bcdefghij"), ID, "bcdefghij"), ((None, None), "call00001", "call00002"), (("call_x", "y"), None, None)],
)
def test_ids_that_a_template_does_not_take_are_replaced_in_calls_and_results_alike(given, id_1, id_2):
    calls = [call(arguments={"a": at}, **({"id": each} if each else {})) for at, each in enumerate(given)]
    answers = [result(str(at), **({"tool_call_id": each} if each else {})) for at, each in enumerate(given)]
    found, rendered = spell(MISTRAL, {"messages": [ASKED, calling(*calls), *answers, answer("yes")], "tools": TOOLS})
    assert found[0].startswith('[TOOL_CALLS] [{"name": "add", "arguments": {"a": 0}, "id": "')
    assert found[0].endswith('"}]</s>') and found[1] == " yes</s>"
    ids = [piece[:9] for piece in found[0].split('"id": "')[1:]]
    assert [piece[:9] for piece in rendered.text.split('"call_id": "')[1:]] == ids
    assert ids == [id_1, id_2] or id_1 is None
    assert (IDENTIFIED in rendered.notes) == (given[0] != ID)


def test_arguments_that_a_template_writes_as_they_are_are_json_and_not_python():
    found, rendered = spell(PYTHONIC, SOURCES["as ours"])
    wanted = '<|tool_call|>[{"name": "add", "arguments": ' + WRITTEN + "}]<|/tool_call|><|im_end|>"
    assert found == [wanted] and rendered.notes == ("tools left out by the template",)


def test_a_generation_prompt_at_the_end_of_any_conversation_ends_no_turn():
    row = {"messages": [*said("Hello", "yes", "so")[:2], ASKED, calling(call(arguments={}))]}
    assert spell(PROMPTING, row)[0] == ["yes</s><|im_end|>", '<|eot_id|>{"name": "add", "arguments": {}}</s><|im_end|>']
    assert spell(PROMPTING, {"messages": said("Hello", "yes")})[0] == ["yes</s><|im_end|>"]


def test_calls_that_a_template_leaves_out_are_not_scored_and_said():
    row = {"messages": [ASKED, calling(call()), result(), answer("It is 4.")]}
    ours = compute_ours("llama3", row)
    assert [ours.text[slice(*span)] for span in ours.spans] == ["It is 4.<|eot_id|>"]
    assert f"{CALLLESS}: not scored" in ours.notes
    with pytest.raises(RenderError, match=CALLLESS):
        compute_ours("llama3", {"messages": row["messages"][:2]})


@pytest.mark.parametrize("source", ["a role of its own", "a typed part"])
def test_calls_that_the_data_holds_as_text_are_that_text_where_the_template_writes_none(source):
    ours = compute_ours("llama3", SOURCES[source])
    wanted = '{"name": "add", "arguments": ' + WRITTEN + "}<|eot_id|>"
    assert [ours.text[slice(*span)] for span in ours.spans] == [wanted] and AS_JSON in ours.notes


ANALYSIS = "<|channel|>analysis<|message|>2 and 2<|end|>"


@pytest.mark.parametrize("key", ["reasoning_content", "thinking", "reasoning"])
@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("qwen3", "<think>\n2 and 2\n</think>\n\n4<|im_end|>"),
        (
            "gptoss",
            "<|channel|>analysis<|message|>2 and 2<|end|><|start|>assistant<|channel|>final<|message|>4<|return|>",
        ),
        ("glm4moe", "\n<think>2 and 2</think>\n4"),
        ("lfm2_2_5", "<think>2 and 2</think>4<|im_end|>"),
    ],
)
def test_reasoning_goes_where_the_template_puts_it_whatever_its_name(key, name, wanted):
    ours = compute_ours(name, {"messages": [ASKED, answer("4", **{key: "2 and 2"})]})
    assert [ours.text[slice(*span)] for span in ours.spans] == [wanted]
    typed = [{"type": "reasoning", "value": "2 and 2"}, {"type": "text", "value": "4"}]
    assert compute_ours(name, {"messages": [ASKED, answer(typed)]}).text == ours.text


def test_reasoning_that_a_template_leaves_out_is_said_and_not_scored():
    row = {"messages": [ASKED, answer("4", reasoning_content="2 and 2"), ASKED, answer("5", reasoning_content="so")]}
    qwen = compute_ours("qwen3", row)
    assert qwen.text[slice(*qwen.spans[0])] == "4<|im_end|>" and UNREASONED in qwen.notes
    llama = compute_ours("llama3", row)
    assert [llama.text[slice(*span)] for span in llama.spans] == ["4<|eot_id|>", "5<|eot_id|>"]
    assert UNREASONED in llama.notes and "2 and 2" not in llama.text


def test_typed_parts_are_joined_as_the_template_joins_them_and_by_blank_lines_where_it_writes_none():
    parts = [{"type": "text", "text": "two "}, {"type": "text", "text": "parts"}]
    row = {"messages": [ASKED, answer(parts)]}
    for name, wanted, notes in (
        ("qwen3_vl", "two parts<|im_end|>", ()),
        ("gemma3", "twoparts<end_of_turn>", ()),
        ("smolvlm", "two parts<end_of_utterance>", ()),
        ("llama3", "two \n\nparts<|eot_id|>", (JOINED,)),
        ("qwen2_5", "two \n\nparts<|im_end|>", (JOINED,)),
        ("qwen3_instruct_2507", "two \n\nparts<|im_end|>", (JOINED,)),
    ):
        ours = compute_ours(name, row)
        said_ = [ours.text[slice(*span)] for span in ours.spans]
        assert [each.strip() for each in said_] == [wanted], name
        assert ours.notes == notes


def test_blank_messages_are_written_as_a_trainer_writes_them():
    row = {"messages": [{"role": "system", "content": ""}, *said("Hello", "yes", "", None), *said("so", "no")]}
    ours = compute_ours("qwen2_5", row)
    assert ours.text.startswith("<|im_start|>system\n<|im_end|>\n<|im_start|>user\nHello<|im_end|>\n")
    assert "<|im_start|>user\n<|im_end|>\n<|im_start|>assistant\n<|im_end|>\n" in ours.text
    assert [ours.text[slice(*span)] for span in ours.spans] == ["yes<|im_end|>", "no<|im_end|>"]


def test_plain_and_chatml_write_the_text_of_a_turn_and_no_blank_one():
    row = {"messages": [{"role": "system", "content": ""}, ASKED, calling(call(), reasoning_content="Hm.")]}
    (example,) = read_examples(row, "messages")
    for choice in ("plain", "chatml"):
        template = choose_template(make_tokenizer("qwen3"), choice)
        text = template.render(example.conversation, [2]).text
        assert 'Hm.\n\n{"name": "add", "arguments": {"a": 2' in text and "ystem" not in text
