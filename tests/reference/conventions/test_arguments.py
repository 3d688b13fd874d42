"""The settings of tools are spelled as the tools spell them; what is wrong with them is named."""

import pytest

from curate.errors import UsageError
from curate.reference.conventions.arguments import ConventionArguments, normalise_arguments, parse_arguments


def test_settings_are_read_by_the_names_of_the_tools():
    assert parse_arguments("lm-eval", " add_bos_token=false, prefix_token_id=1") == ConventionArguments(False, 1)
    assert parse_arguments("evaluate", "add_start_token=False").add_start_token is False
    assert parse_arguments("hf-guide", "stride=63").stride == 63
    assert parse_arguments("curate", "") == ConventionArguments()


def test_one_meaning_has_one_spelling():
    assert (
        normalise_arguments("lm-eval", "prefix_token_id=1,add_bos_token=TRUE") == "add_bos_token=True,prefix_token_id=1"
    )
    assert (
        normalise_arguments("hf-guide", "stride=512") == "" == normalise_arguments("evaluate", "add_start_token=true,")
    )


@pytest.mark.parametrize(
    ("convention", "text", "message", "hint"),
    [
        ("lm-eval", "stride=3", "must be of add_bos_token, prefix_token_id, not stride", "add_bos_token=False"),
        ("hf-guide", "stride=0", "stride=0: stride must be a number of tokens, at least 1", "stride=512"),
        ("hf-guide", "stride", "--convention-args stride: stride must be a number", "stride=512"),
        ("lm-eval", "add_bos_token=yes", "add_bos_token must be True or False", "add_bos_token=False"),
        ("lm-eval", "prefix_token_id=-1", "prefix_token_id must be the id of a token", "prefix_token_id=0"),
        ("evaluate", "add_start_token=", "add_start_token must be True or False", "add_start_token=True"),
        ("hf-guide", "stride=1,stride=2", "--convention-args sets stride twice", "stride=2"),
        ("curate", "stride=1", "has no effect without --convention", "leave out --convention-args"),
    ],
)
def test_what_no_tool_takes_is_refused_with_what_it_takes(convention, text, message, hint):
    with pytest.raises(UsageError, match=message) as error:
        parse_arguments(convention, text)
    assert hint in error.value.hint
