"""Columns of the documents are named by their name, their path, and doc.NAME."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.runs import write_lines

from curate.corpus import open_corpus
from curate.errors import UsageError
from curate.rundir.columns import names


def test_lists_of_names_are_read_back_as_they_were():
    for listed in (["a", "b"], ["My Col"], ["a,b", "c"], ['"', "x"], ['say "x", y', "z"], ["doc.tokens"], ["日本"]):
        assert names.split_names(names.join_names(listed)) == listed
    assert names.split_names(' domain , "a,b",domain, ') == ["domain", "a,b"]
    assert names.split_names('say "x"') == ['say "x"']  # quotes within a name are part of it


def test_options_about_groups_are_about_the_documents():
    assert names.split_group_columns("tokens,domain,zlib_ratio") == ["doc.tokens", "domain", "doc.zlib_ratio"]


@pytest.fixture
def corpora(tmp_path):
    row = {"text": "some words", "meta": {"lang": "x", "tags": ["a"]}, "tokens": 1, "doc": {"tokens": 2, "lang": "y"}}
    write_lines(tmp_path / "a.jsonl", [row])
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "a.parquet")
    return open_corpus([str(tmp_path / "a.jsonl")]), open_corpus([str(tmp_path / "a.parquet")])


def test_fields_are_found_in_every_format(corpora):
    for corpus in corpora:
        found = {name: names.find_column(corpus, name) for name in ("meta", "meta.lang", "meta.lnag", "meta.tags.x")}
        assert list(found.values()) == ["shown", "shown", "missing", "foreign"]
        assert names.find_column(corpus, "mata.lang") == "absent"
    assert [names.find_column(corpus, "text.x") for corpus in corpora] == ["hidden", "foreign"]


def test_the_prefix_is_always_the_column_of_the_documents(corpora):
    for corpus in corpora:
        resolved = [names.resolve_name(corpus, name) for name in ("tokens", "doc.tokens", "doc.lang", "doc.doc.tokens")]
        assert resolved == ["tokens", "tokens", "doc.lang", "doc.doc.tokens"]
        assert names.find_path("doc.doc.tokens") == "doc.tokens"  # which is not the column of the third name


def test_a_mistyped_field_is_answered_with_the_nearest(corpora):
    for corpus in corpora:
        with pytest.raises(UsageError) as caught:
            names.check_document_column(corpus, "meta.lnag")
        assert caught.value.hint.startswith("did you mean meta.lang? there are: meta.lang, meta.tags")


def test_only_formats_without_types_are_searched(corpora):
    searched = [[names.is_searchable(corpus, name) for name in ("meta.rare", "late", "doc.late")] for corpus in corpora]
    assert searched == [[True, False, True], [False, False, False]]
