"""Options name columns and roles for all datasets or for one."""

import pytest

from curate.corpus.chat.named_columns import FieldNames
from curate.errors import UsageError
from curate.sft.datasets.fields import complete_fields, name_fields


def test_a_word_is_about_all_datasets_or_about_the_one_before_the_equals_sign():
    found = name_fields(
        ["a", "b"],
        prompt_field="ask,b=task,b=more",
        response_field="reply",
        role="kunde=user,b=k=assistant,x=y=tool",
        role_field="b=who",
    )
    shared = (("kunde", "user"), ("x=y", "tool"))
    assert found["a"] == FieldNames(("ask",), ("reply",), roles=shared) and found["b"].role_key == ("who",)
    assert found["b"].prompt == ("task", "more") and found["b"].response == ("reply",)
    assert dict(found["b"].roles) == dict(shared) | {"k": "assistant"}


def test_words_behind_a_name_are_about_the_dataset_of_that_name():
    found = name_fields(["a", "b", "c"], prompt_field="ask,a=task,more,b=title,body")
    assert [found[name].prompt for name in "abc"] == [("task", "more"), ("title", "body"), ("ask",)]


def test_a_dataset_that_is_called_as_a_role_is_no_part_of_it():
    assert name_fields(["human"], role="human=user")["human"].roles == (("human", "user"),)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"role": "king"},
            "--role must be OWN=STANDARD with system, user, assistant, tool as the standard one, not king",
        ),
        ({"role": "king=queen"}, "not king=queen"),
        ({"prompt_field": "a,b,c,d", "response_field": "e"}, "--prompt-field takes at most 3 columns"),
        ({"messages_field": "a,b"}, "--messages-field takes at most 1 column of a dataset, not a, b"),
        ({"messages_field": "a", "response_field": "b"}, "--messages-field and --response-field are both given for d"),
    ],
)
def test_options_that_cannot_hold_are_refused_by_name(options, said):
    with pytest.raises(UsageError, match=said.replace("(", r"\(")):
        name_fields(["d"], **options)


def test_the_other_side_is_found_by_the_known_columns():
    names = FieldNames(response=("reply",))
    assert complete_fields(names, ["instruction", "input", "reply"]).prompt == ("instruction", "input")
    assert complete_fields(FieldNames(prompt=("ask",)), ["ask", "answer"]).response == ("answer",)
    assert complete_fields(names, ["x", "reply"]) == names
