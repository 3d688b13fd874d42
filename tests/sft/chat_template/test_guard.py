"""Templates that take too much end with their name and the limit, and leave this process as it was."""

import resource
import time

import pytest
from helpers import models

from curate.corpus.chat.types import Turn
from curate.errors import UsageError
from curate.sft.chat_template import guard
from curate.sft.chat_template.choose import CHATML, PLAIN, choose_template
from curate.sft.chat_template.render import ChatTemplate
from curate.sft.chat_template.tame import is_tame

TALK = [Turn("user", "Hello"), Turn("assistant", "yes")]
BOMBS = {
    "range": ("{% for a in range(10**9) %}x{% endfor %}", "loops over more than"),
    "loops": ("{% for a in range(9**5) %}{% for b in range(9**5) %}{% endfor %}{% endfor %}", "seconds"),
    "product": ("{{ 'a' * 10**10 }}", "memory"),
    "power": ("{{ 9**(9**(9 + 0 * (messages|length))) }}", "seconds"),
    "macro": ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "calls itself"),
    "format": ("{{ '{:3000000000}'.format(1) }}", "memory"),
    "percent": ("{{ '%03000000000d' % 1 }}", "memory"),
    "filter": ("{{ 'a'|center(10**10) }}", "memory"),
    "doubling": (
        "{% set n = namespace(x='ab') %}{% for i in range(60) %}{% set n.x=n.x~n.x %}{% endfor %}",
        "memory",
    ),
    "list": ("{% set n = namespace(x=[1]) %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}", "memory"),
    "output": ("{{ 'ab' * 40000000 }}", "characters"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_template_that_takes_too_much_is_an_error_that_names_it_and_the_limit(name, tmp_path, monkeypatch):
    source, limit = BOMBS[name]
    if limit == "seconds":  # the others reach their own limit first, however slow the machine is
        monkeypatch.setattr(guard, "SECONDS", 1)
    path, began = tmp_path / "bomb.jinja", time.monotonic()
    path.write_text(source)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UsageError, match="rendering a conversation") as caught:
        choose_template(models.tokenizer(), str(path))
    assert str(path) in caught.value.message and limit in caught.value.message
    assert time.monotonic() - began < 60
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # kB


def test_a_template_that_takes_too_much_on_one_conversation_alone_is_found_there():
    source = "{% if messages|length > 1 and messages[0].content == 'Boom' %}{{ 'a' * 10**10 }}{% endif %}" + CHATML
    template = ChatTemplate("late", source, models.tokenizer())
    assert template.render(TALK, [1]).text.endswith("yes<|im_end|>\n")
    with pytest.raises(UsageError, match="late: rendering a conversation takes more than 1 GiB of memory"):
        template.render([Turn("user", "Boom"), Turn("assistant", "yes")], [1])
    assert template.render(TALK, [1]).text.endswith("yes<|im_end|>\n")


def test_a_guarded_rendering_is_that_of_one_here():
    for source in (PLAIN, CHATML):
        here = ChatTemplate("here", source, models.tokenizer(), end_of_turn=False)
        there = ChatTemplate("there", "{% set n = 2 * 2 %}" + source, models.tokenizer(), end_of_turn=False)
        assert is_tame(here.source) and not is_tame(there.source)
        assert there.render(TALK, [1]) == here.render(TALK, [1])


@pytest.mark.parametrize("name", BOMBS)
def test_no_template_that_takes_too_much_is_tame(name):
    assert not is_tame(BOMBS[name][0])
