"""The columns that an SQL expression mentions are found in DuckDB's syntax tree."""

import pytest

from curate.stages.filter.mentions import list_mentions


def names_in(expression):
    return [".".join(mention.names) for mention in list_mentions(expression)]


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("tokens > 3 and lang = 'tokens'", ["tokens", "lang"]),
        ("tokens > 3 -- and lang\n and /* day */ true", ["tokens"]),
        ('"My Col" = 1 and "order" = 2 and "q""uote" = \'My\'', ["My Col", "order", 'q"uote']),
        ("naïve > 1 and 日本 = 'x' and z = 1", ["naïve", "日本", "z"]),
        ("meta.lang = 'x' and meta['lang'] = 'y'", ["meta.lang", "meta.lang"]),
        ("meta['a'].b['c'].d = 1", ["meta.a.b.c.d"]),
        ("(meta).a.b = 1 and (meta['a']).b = 1", ["meta.a.b", "meta.a.b"]),
        ("tags[1] = 'x' and turns[1].role = 'user'", ["tags", "turns"]),
        ("scores.tokens > 3 and scores.meta.lang = 'x'", ["tokens", "meta.lang"]),
        ("exists(select 1 from scores s where s.lang = lang)", ["lang", "lang"]),
        ("len(list_filter(tags, lambda x: x = lang)) > 0", ["tags", "lang"]),
        ("len(list_filter(tags, x -> x = lang)) > 0", ["tags", "lang"]),
        ("len([x for x in tags if x = lang]) > 0", ["tags", "lang"]),
        ("data->>'$.a' = 'x' and more->'b' = 'x'", ["data", "more"]),
        ("case when ok then day else clock end is null", ["ok", "day", "clock"]),
        ("cast(price as int) between low and high", ["price", "low", "high"]),
        ("not a sentence of SQL", []),
    ],
)
def test_columns_are_mentions_and_words_are_not(expression, names):
    assert names_in(expression) == names


@pytest.mark.parametrize("expression", ["naïve.a > 1 and 日本['b'].c = 2", "x . y = 1 and (z)\n.w > 2"])
def test_a_mention_knows_its_bytes(expression):
    octets = expression.encode()
    found = [octets[mention.start : mention.stop].decode() for mention in list_mentions(expression)]
    assert found in (["naïve.a", "日本['b'].c"], ["x . y", "(z)\n.w"])
