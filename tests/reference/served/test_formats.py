"""Log probabilities as serving stacks return them: each format gives its tokens, and what is no number is refused."""

import json
import math

import pytest

from curate.reference.served.formats import LogprobsError, parse_logprobs

CHAT = {  # OpenAI's API reference, chat completion object, choices[].logprobs
    "content": [
        {
            "token": "Hello",
            "logprob": -0.31725305,
            "bytes": [72, 101, 108, 108, 111],
            "top_logprobs": [
                {"token": "Hello", "logprob": -0.31725305, "bytes": [72, 101, 108, 108, 111]},
                {"token": "Hi", "logprob": -1.3190403, "bytes": [72, 105]},
            ],
        },
        {"token": "!", "logprob": -0.02380986, "bytes": [33], "top_logprobs": []},
    ],
    "refusal": None,
}
COMPLETION = {  # OpenAI's and vLLM's completions with echo: the first token has no number
    "tokens": ["Hello", " there", "bytes:\\xf0\\x9f\\x99", "bytes:\\x82"],
    "token_logprobs": [None, -1.5, -2.0, -0.25],
    "top_logprobs": [None, {" there": -1.5}, {}, {}],
    "text_offset": [0, 5, 11, 11],
}
PROMPT = [  # vLLM's prompt_logprobs: the prompt's token first, then the likeliest others
    None,
    {
        "11": {"logprob": -3.5, "rank": 12, "decoded_token": " there"},
        "9": {"logprob": -0.1, "rank": 1, "decoded_token": ","},
    },
    {"7": {"logprob": 0.0, "rank": 1, "decoded_token": "!"}},
]
GENERATION = {  # text-generation-inference's /generate with details
    "finish_reason": "eos_token",
    "prefill": [{"id": 1, "text": "<s>", "logprob": None}],
    "tokens": [
        {"id": 22557, "text": "Hello", "logprob": -0.5, "special": False},
        {"id": 2, "text": "</s>", "logprob": -0.125, "special": True},
    ],
}
KNOWN = [
    ([-0.5, -1], [(-0.5, None), (-1.0, None)]),
    ([None, -1.5], [(None, None), (-1.5, None)]),
    (CHAT, [(-0.31725305, b"Hello"), (-0.02380986, b"!")]),
    (CHAT["content"], [(-0.31725305, b"Hello"), (-0.02380986, b"!")]),
    (COMPLETION, [(None, b"Hello"), (-1.5, b" there"), (-2.0, b"\xf0\x9f\x99"), (-0.25, b"\x82")]),
    ({"token_logprobs": [-1.5]}, [(-1.5, None)]),
    (PROMPT, [(None, None), (-3.5, b" there"), (0.0, b"!")]),
    ([None, {"5": {"logprob": -2}}], [(None, None), (-2.0, None)]),
    (GENERATION, [(-0.5, b"Hello"), (-0.125, b"</s>")]),
    ({"details": GENERATION, "generated_text": "Hello"}, [(-0.5, b"Hello"), (-0.125, b"</s>")]),
    ({"index": 0, "logprobs": CHAT, "prompt_logprobs": None}, [(-0.31725305, b"Hello"), (-0.02380986, b"!")]),
    ([{"token": "�", "logprob": -1.0, "bytes": None}], [(-1.0, b"\xef\xbf\xbd")]),
]


@pytest.mark.parametrize(("value", "tokens"), KNOWN)
def test_each_format_gives_its_tokens_as_a_value_and_as_json_text(value, tokens):
    for spelled in (value, json.dumps(value)):
        assert [(one.logprob, one.octets) for one in parse_logprobs(spelled)] == tokens


def test_special_tokens_and_parts_of_characters_are_marked():
    assert [one.special for one in parse_logprobs(GENERATION)] == [False, True]
    assert not parse_logprobs([{"token": "�", "logprob": -1.0}])[0].is_exact
    assert parse_logprobs([{"token": "�", "logprob": -1.0, "bytes": [239]}])[0].is_exact


def test_a_sure_token_rounded_above_zero_counts_as_sure():
    (token,) = parse_logprobs([1.2e-7])
    assert token.logprob == 0.0


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "no value"), ("", "no value"), (" ", "no value"), ("null", "no value"),
        ("-0.1;-2", "neither JSON nor a list"),
        ([], "no tokens"), ("[]", "no tokens"), ({"content": None}, "no tokens"), ({"content": []}, "no tokens"),
        (3, "neither a list nor an object"), ({"text": "x"}, "none of the known formats"),
        ([-1.0, math.nan], "NaN is no log probability"), ("[-1.0, NaN]", "NaN is no log probability"),
        ([0.5], "a positive number"), (["-1"], "not a number"), ([True], "not a number"),
        ([-1.0, -9999.0], "stands for a token without a number"), ([-math.inf], "stands for a token without"),
        ([-1.0, None, -1.0], r"a token behind the first has no number \(token 2 of 3\)"),
        ([None], "no token has a number"), ([-1.0, {"token": "a", "logprob": -1.0}], "numbers and objects"),
        ({"tokens": ["a"], "token_logprobs": [-1.0, -2.0]}, "not of one length"),
        ({"tokens": ["a"], "token_logprobs": 3}, "token_logprobs is no list"),
        ({"logprobs": CHAT, "prompt_logprobs": PROMPT}, "more than one list of tokens"),
        ([{"5": {"logprob": -2}, "6": {"logprob": -3}}], "several candidates"),
        ([{"token": "a", "logprob": -1.0, "bytes": [300]}], "bytes that are no bytes"),
        ([{"token": "a", "logprob": -1.0, "bytes": 3}], "bytes that are no bytes"),
        ([{"token": "a"}], "none of the known formats"),
    ],
)  # fmt: skip
def test_what_is_no_log_probability_is_refused_with_its_reason(value, reason):
    with pytest.raises(LogprobsError, match=reason):
        parse_logprobs(value)
