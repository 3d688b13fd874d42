"""Conversations of every kind that instruction data has, as rows with ``messages`` and maybe ``tools``."""

import json


def said(*texts, system=None):
    messages = [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(texts)]
    return messages if system is None else [{"role": "system", "content": system}, *messages]


def answer(text, **fields):
    return {"role": "assistant", "content": text, **fields}


def call(name="add", arguments=None, **fields):
    arguments = {"a": 2, "place": 'Zürich "x"'} if arguments is None else arguments
    return {"type": "function", "function": {"name": name, "arguments": arguments}, **fields}


def calling(*calls, content="", **fields):
    return {"role": "assistant", "content": content, "tool_calls": list(calls), **fields}


def result(text="4", **fields):
    return {"role": "tool", "content": text, "name": "add", **fields}


TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "add",
            "description": "Add two numbers.",
            "parameters": {
                "type": "object",
                "properties": {"a": {"type": "integer", "description": "One."}, "place": {"type": "string"}},
                "required": ["a"],
            },
        },
    }
]
ID, OTHER = "abcdefghi", "bcdefghij"
THOUGHT = {"reasoning_content": "2 and 2 are 4", "thinking": "2 and 2 are 4"}
"""The same reasoning under the names that templates read, so that each takes its own."""
ASKED = {"role": "user", "content": "2 + 2?"}

CONVERSATIONS = {
    "one answer": {"messages": said("Hello", "I am fine.")},
    "a system text": {"messages": said("Hello", "I am fine.", system="Be short.")},
    "an empty system text": {"messages": said("Hello", "I am fine.", system="")},
    "several turns": {"messages": said("Hello", "I am fine.", "2 + 2", "4", "and 3 + 3", "6", system="Be short.")},
    "an answer that ends in blanks": {"messages": said("Hello \n", "I am fine. \n", "so", "yes\n\n")},
    "an answer that begins with blanks": {"messages": said(" Hello", "  I am fine.", "so", "\n\nyes")},
    "unicode": {"messages": said("Größe 🙂?", "東京 naïve 👩‍👩‍👧 ﷽", "é", "é")},
    "words of the prompt": {"messages": said("assistant\n4", "4", "4", "4 assistant user")},
    "markup and code": {"messages": said("a < b > c", "```python\nx = {'a': [1]}\n```\n", "{{ x }}", "<b>{% x %}</b>")},
    "ends with a user": {"messages": said("Hello", "I am fine.", "and you?")},
    "two answers in a row": {"messages": [*said("Hello", "I am fine."), answer("And you?")]},
    "two questions in a row": {"messages": [{"role": "user", "content": "Hello"}, *said("So?", "I am fine.")]},
    "the assistant first": {"messages": [answer("Hello"), *said("Hi", "I am fine.")]},
    "an empty answer": {"messages": said("Hello", "", "Hello?", "I am fine.")},
    "an empty question": {"messages": said("Hello", "I am fine.", "", "Still here?")},
    "reasoning in a field": {"messages": [ASKED, answer("4", **THOUGHT)]},
    "reasoning of earlier answers": {"messages": [ASKED, answer("4", **THOUGHT), ASKED, answer("Four.", **THOUGHT)]},
    "reasoning in tags": {"messages": said("2 + 2?", "<think>\n2 and 2\n</think>\n\n4", "So?", "<think>so</think>yes")},
    "typed parts": {
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "Hello"}]},
            {"role": "assistant", "content": [{"type": "text", "text": "I am fine."}]},
        ]
    },
    "a call": {"messages": [ASKED, calling(call(id=ID))], "tools": TOOLS},
    "a call and its result": {
        "messages": [
            ASKED,
            calling(call(id=ID)),
            result(tool_call_id=ID),
            {"role": "assistant", "content": "It is 4."},
        ],
        "tools": TOOLS,
    },
    "a call without content": {
        "messages": [ASKED, calling(call(id=ID), content=None), result(tool_call_id=ID), answer("It is 4.")],
        "tools": TOOLS,
    },
    "a call without arguments": {
        "messages": [ASKED, calling(call(arguments={}, id=ID)), result(tool_call_id=ID), answer("4.")],
        "tools": TOOLS,
    },
    "a call beside a text": {"messages": [ASKED, calling(call(id=ID), content="I add.")], "tools": TOOLS},
    "two calls": {
        "messages": [
            ASKED,
            calling(call(id=ID), call(arguments={"a": 1}, id=OTHER)),
            result(tool_call_id=ID),
            result("5", tool_call_id=OTHER),
            answer("4 and 5"),
        ],
        "tools": TOOLS,
    },
    "a call that was thought of": {
        "messages": [
            ASKED,
            calling(call(id=ID), **THOUGHT),
            result(tool_call_id=ID),
            answer("It is 4.", **THOUGHT),
        ],
        "tools": json.dumps(TOOLS),
    },
    "an empty result": {
        "messages": [ASKED, calling(call(id=ID)), result("", tool_call_id=ID), answer("?")],
        "tools": TOOLS,
    },
    "calls in two turns": {
        "messages": [
            ASKED,
            calling(call(id=ID)),
            result(tool_call_id=ID),
            answer("It is 4."),
            {"role": "user", "content": "Again"},
            calling(call(arguments={"a": 3}, id=OTHER)),
            result("7", tool_call_id=OTHER),
            answer("It is 7."),
        ],
        "tools": TOOLS,
    },
    "tools that are not called": {"messages": said("Hello", "I am fine.", system="Be short."), "tools": TOOLS},
}
