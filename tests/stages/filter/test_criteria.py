"""What ``filter`` can be asked: a mistake is answered with what to do."""

import math
import re

import pytest
from helpers.domain_runs import run_of

from curate.errors import UsageError
from curate.verbs.filter import filter as choose


@pytest.mark.parametrize(
    ("asked", "says", "hint"),
    [
        ({"keep": "low", "within": "domian"}, "no column 'domian'", "did you mean domain?"),
        ({"keep": "low", "by": "qualty"}, "no column of numbers 'qualty'", "there are"),
        ({"within": "domain"}, "--within domain says nothing without --keep", "--keep middle"),
        ({"tokens": "2B"}, "--tokens 2B says nothing without --keep", "--keep middle"),
        ({"temperature": 1.0}, "--temperature 1.0 says nothing without --keep", "--keep middle"),
        ({"keep": "low", "tokens": "2X"}, "not a number of tokens", "2B"),
        ({"keep": "low", "tokens": "0"}, "must be at least 1", "2B"),
        ({"keep": "low", "tokens": "2B", "rate": 0.5}, "both say how much", "leave one"),
        ({"keep": "10:60", "tokens": "2B"}, "both say how much", "leave one"),
        ({"keep": "10:60", "temperature": 1.0}, "a draw has no percentiles", "--keep low, middle or high"),
        ({"keep": "low", "temperature": 0.0}, "no temperature", "above 0|softly"),
        ({"keep": "low", "temperature": math.nan}, "no temperature", "softly"),
        ({"max_ppl": 5, "seed": 7}, "--seed 7 says nothing without --temperature", "--temperature 1 --seed 7"),
        ({"max_ppl": (2, 5), "dry_run": True, "show": True}, "--show is about the boundaries", "one value"),
        ({"dry_run": True, "show": True}, "--show is about the boundaries", "name one criterion"),
        ({"keep": "110:120"}, "percentiles go from 0 to 100", "low, middle or high"),
        ({"max_repeated_5grams": 0.3}, "the scores have no repeated_5grams", "--signals repeated_5grams"),
        ({"max_ppl": 5, "ledger": "domian"}, "no column 'domian'", "did you mean domain?"),
        ({"where": "domian = 'web'"}, "domian", "columns are"),
        ({"where": "tokens > 1 and perplexty < 5"}, "not found.*, at: perplexty < 5", "did you mean perplexity"),
        ({"where": "tokens > 1 3"}, 'at or near "3"', "columns"),
        ({"max_ppl": 5, "memory_limit": "lots"}, "lots", "GB|2GiB"),
    ],
)
def test_a_mistake_is_answered_with_what_to_do(tmp_path, asked, says, hint):
    run = run_of(tmp_path, [(1.0, "web", 1), (2.0, "code", 1)])
    with pytest.raises(UsageError, match=says) as caught:
        choose(str(run.path), **asked)
    assert re.search(hint, caught.value.hint or "")
    assert not run.filter.exists()
