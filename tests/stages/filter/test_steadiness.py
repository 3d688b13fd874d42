"""A condition gives the same answer each time and on each machine; what would not is refused by its name."""

import os
import subprocess
import sys

import duckdb
import pytest
from helpers.paths import ROOT
from helpers.runs import make_run, write_lines

from curate.errors import UsageError
from curate.stages.filter.steadiness import WORDS, check_functions, check_words, has_subquery, read_catalogue

STEADY = [
    "tokens < 50 and lower(lang) = 'de'",
    "lang = 'today' or lang like '%now()%' or lang = 'random()' -- random()",
    "age(day, date '2020-01-01') > interval 1 day and day.age(date '2020-01-01') > interval 1 day",
    "md5_number_lower(id) % 100 < 50",
    "len(list_filter(tags, lambda x: x = 'a')) > 0 and geomean is null",
    "tokens < (select avg(tokens) from scores) and exists(select 1 from range(3))",
    "tokens in (select tokens from scores order by tokens limit 3)",
    "regexp_matches(lang, 'a|b') and round(bytes / 3) > 1 and day::date > '2020-01-01' and 'epoch'::date < day",
    "date_part('year', moment) = 2024 and strftime(moment, '%H') = '09'",
    "random > 1 and now = 2 and \"uuid\" is null and meta.version = '1'",
]
CHANGING = {
    "random() < 0.5": "random()", '"random"() < 0.5': "random()", "random/**/() < .5": "random()",
    "RANDOM ( ) < .5": "random()", "main.random() < .5": "random()", "id.random() < .5": "random()",
    "len(list_transform([1], lambda x: x + random())) > 0": "random()",
    "len([x for x in [1] if x > random()]) > 0": "random()",
    "tokens in (select random() from scores)": "random()",
    "case when true then uuid() = id end": "uuid()", "gen_random_uuid() = 'a'": "gen_random_uuid()",
    "now() > moment": "now()", "today() > day": "today()", "age(moment) > interval 1 day": "age()",
    "moment.age() > interval 1 day": "age()", "main.age(moment) > x": "age()",
    "ago(interval 1 day) < moment": "ago()", "get_current_time() > x": "get_current",
    "current_localtimestamp() > x": "current_localtimestamp()", "current_localtime() > x": "current_localtime()",
    "pg_postmaster_start_time() > moment": "pg_postmaster_start_time()",
    "transaction_timestamp() > moment": "transaction",
    "'now'::timestamp > moment": "'now'", "timestamp ' NOW ' > moment": "' NOW '",
    "try_cast('today' as date) > day": "'today'",
    "date 'tomorrow' > day": "'tomorrow'", "date 'yesterday' > day": "'yesterday'",
    "nextval('s') > 1": "nextval()", "txid_current() > 1": "txid_current()", "setseed(0.5) is null": "setseed()",
    "getvariable('x') = 1": "getvariable()", "current_setting('TimeZone') = 'UTC'": "current_setting()",
    "current_user() = 'a'": "current_user()", "version() = 'v1'": "version()", "getenv('HOME') = '/'": "getenv()",
    "hash(id) % 2 = 0": "hash()", "pg_sleep(1) is null": "pg_sleep()", "write_log('x') is null": "write_log()",
    "tokens < (select count(*) from read_text('/etc/passwd'))": "read_text()", "read_text('/etc/passwd') = ''": "read_",
    "exists(from query('select 1'))": "query()", "exists(from sniff_csv('x.csv'))": "sniff_csv()",
    "exists(from duckdb_settings())": "duckdb_settings()", "exists(from glob('*'))": "glob()",
    "exists(from information_schema.tables)": "information_schema.tables",
    "exists(from scores limit 1)": "LIMIT", "exists(from scores tablesample 10%)": "sample",
    "exists(from scores using sample 3)": "sample", "COLUMNS('rej.*') is null": "COLUMNS",
}  # fmt: skip


@pytest.mark.parametrize("where", STEADY)
def test_what_only_computes_passes(where):
    check_functions(where)
    check_words(where, {"tokens": 0})


@pytest.mark.parametrize("where", CHANGING)
def test_what_changes_is_refused_by_its_name_with_what_to_use_instead(where):
    with pytest.raises(UsageError) as caught:
        check_functions(where)
    assert caught.value.message.startswith("--where: ") and CHANGING[where] in caught.value.message
    assert caught.value.hint.startswith("a run must be reproducible: ")


def test_every_function_that_the_catalogue_calls_changing_is_refused_whatever_its_arguments():
    changing = read_catalogue().changing
    assert {"random", "now", "uuid", "nextval", "current_setting"} <= changing
    for name in changing:
        with pytest.raises(UsageError, match="--where: "):
            check_functions(f'"{name.upper()}"(1) is null')


@pytest.mark.parametrize("word", sorted(WORDS))
def test_a_word_that_sql_takes_for_a_function_is_refused_unless_a_column_has_it(word):
    for spelled in (word, word.upper()):
        with pytest.raises(UsageError, match="depends on"):
            check_words(f"{spelled} is not null", {"tokens": 0})
        check_words(f"{spelled} is not null", {word: 0})


def test_a_table_is_no_column():
    with pytest.raises(UsageError, match="scores is a table"):
        check_words("scores is null", {"tokens": 0})


def test_only_a_query_within_a_condition_is_a_subquery():
    assert has_subquery("tokens < (select 1)") and has_subquery("exists(from scores)")
    assert not has_subquery("tokens < 1 and lang = '(select 1)'")


def test_every_word_that_duckdb_takes_for_a_function_is_known():
    with duckdb.connect() as connection:
        keywords = connection.execute("SELECT keyword_name FROM duckdb_keywords()").fetchall()
        names = {name for (name,) in connection.execute("SELECT function_name FROM duckdb_functions()").fetchall()}
        found = set()
        for word in {word for (word,) in keywords} | names:
            try:
                connection.execute(f"SELECT {word}")
            except duckdb.Error:
                continue
            found.add(word)
    assert found - WORDS <= {"array", "default", "false", "null", "true"}


def filter_on(folder, run, **variables):
    """Return the bytes of the decisions of one filter on a machine with these variables."""
    where = (
        "date_part('hour', moment::timestamptz) < 12 and strftime(moment::timestamptz, '%d') = '01' and "
        "moment::timestamptz::date = '2024-03-01' and upper(title) = 'ISTANBUL I' and "
        "tokens <= (select avg(bytes / 3) from scores)"
    )
    words = ["-m", "curate", "filter", "--run", str(run), "--ledger", "none", "--where", where]
    known = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(folder), **variables}
    subprocess.run([sys.executable, *words], env=known, capture_output=True, check=True, timeout=120)
    return [(run / name).read_bytes() for name in ("filter.parquet", "run.json")]


def test_the_same_filter_gives_the_same_bytes_on_every_machine(tmp_path):
    rows = [
        {"text": f"words of document {n}", "moment": f"2024-03-0{1 + n % 2}T0{n}:30:00+00:00", "title": "istanbul i"}
        for n in range(8)
    ]
    write_lines(tmp_path / "c.jsonl", rows)
    run = make_run(tmp_path / "run", [tmp_path / "c.jsonl"])
    first = filter_on(tmp_path, run.path, TZ="UTC", LC_ALL="C.UTF-8")
    assert first == filter_on(tmp_path, run.path, TZ="UTC", LC_ALL="C.UTF-8")
    assert first == filter_on(tmp_path, run.path, TZ="Asia/Tokyo", LC_ALL="tr_TR.UTF-8")
    assert first == filter_on(tmp_path, run.path, TZ="America/St_Johns", LC_ALL="th_TH", LANG="fa_IR")
    with duckdb.connect() as connection:
        kept = connection.execute(f"SELECT count(*) FROM '{run.path}/filter.parquet' WHERE keep").fetchone()[0]
    assert kept == 4
