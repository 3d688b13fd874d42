"""What ``datasets`` knows of the original columns, beyond their types, is in the export: or a warning says that not."""

import datetime
import io
import json

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import ClassLabel, Features, Value
from helpers.exports import FORMATS, original
from helpers.runs import make_run, write_lines, write_order

from curate.exports.formats.features import build_schema, list_lost_features
from curate.exports.formats.shard_writer import ShardWriter
from curate.runtime import console
from curate.verbs.export import export


def load(out):
    return datasets.load_dataset(str(out), split="train", cache_dir=f"{out}.cache")


def make_set(columns, **features):
    """A dataset of two rows, which have texts too."""
    texts = {"text": ["document 0", "document 1"]}
    return datasets.Dataset.from_dict({**texts, **columns}, features=Features({"text": Value("string"), **features}))


def write_set(path, made):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(made.data.table, path)


@pytest.fixture
def said(monkeypatch):
    lines = []
    monkeypatch.setattr(console, "warn", lines.append)
    return lines


def draw_picture():
    image = pytest.importorskip("PIL.Image")
    picture = io.BytesIO()
    image.new("RGB", (2, 3), (255, 0, 0)).save(picture, "PNG")
    return picture.getvalue()


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("kind", ["hf", "parquet"])
def test_images_still_decode(tmp_path, kind, ordered):
    picture = {"bytes": draw_picture(), "path": None}
    write_set(tmp_path / "c" / "a.parquet", make_set({"image": [picture, None]}, image=datasets.Image()))
    run = make_run(tmp_path / "run", [tmp_path / "c"])
    if ordered:
        write_order(run, [0, 1])
    export(str(tmp_path / "out"), str(run.path), format=kind)
    loaded = load(tmp_path / "out")
    assert loaded.features["image"] == datasets.Image()
    assert loaded[0]["image"].size == (2, 3) and loaded[1]["image"] is None


def test_json_lines_hold_the_bytes_of_images_as_base64_and_it_is_said(tmp_path, said):
    picture = {"bytes": b"\xff", "path": None}
    write_set(tmp_path / "c" / "a.parquet", make_set({"image": [picture, None]}, image=datasets.Image()))
    run = make_run(tmp_path / "run", [tmp_path / "c"])
    export(str(tmp_path / "out"), str(run.path), format="jsonl")
    assert load(tmp_path / "out")["image"][:] == [{"bytes": "/w==", "path": None}, None]
    assert said == ["bytes of `image` are base64 in JSON lines, and no images or sounds; hf and parquet keep them"]


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(
    ("value", "spelled"),
    [
        (b"\xff", "/w=="),
        ([b"a", None], ["YQ==", None]),
        ({"at": datetime.time(1, 2)}, {"at": "01:02:00"}),
        ([{"took": datetime.timedelta(days=3)}], [{"took": "3 days, 0:00:00"}]),
    ],
)
def test_values_that_json_lines_have_as_strings_are_named_and_no_others(tmp_path, said, kind, value, spelled):
    (tmp_path / "c").mkdir()
    day = datetime.date(2024, 5, 1)
    pq.write_table(pa.table({"text": ["document 0"], "x": [value], "day": [day]}), tmp_path / "c" / "a.parquet")
    run = make_run(tmp_path / "run", [tmp_path / "c"])
    export(str(tmp_path / "out"), str(run.path), format=kind)
    is_lines = kind == "jsonl"
    assert original(load(tmp_path / "out")[0]) == {
        "text": "document 0",
        "x": spelled if is_lines else value,
        "day": day,
    }
    note = "bytes (in base64), times of day and durations of `x` are strings in JSON lines; hf and parquet keep them"
    assert said == [note] * is_lines
    assert (note in (tmp_path / "out" / "README.md").read_text()) == is_lines


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("other", ["other names", "no features", "JSON"])
def test_a_column_whose_files_differ_in_its_features_has_none_and_the_others_keep_theirs(tmp_path, said, kind, other):
    same = {"grade": ClassLabel(names=["low", "high"])}
    first = make_set({"label": [0, 1], "grade": [1, 1]}, label=ClassLabel(names=["neg", "pos"]), **same)
    write_set(tmp_path / "c" / "a.parquet", first)
    if other == "other names":
        second = make_set({"label": [1, 1], "grade": [0, 1]}, label=ClassLabel(names=["no", "yes"]), **same)
        write_set(tmp_path / "c" / "b.parquet", second)
    elif other == "no features":
        pq.write_table(pa.table({"text": ["document 2"], "label": [1]}), tmp_path / "c" / "b.parquet")
    else:
        write_lines(tmp_path / "c" / "b.jsonl", [{"text": "document 2", "label": 1}])
    run = make_run(tmp_path / "run", [tmp_path / "c"])
    export(str(tmp_path / "out"), str(run.path), format=kind)
    features = load(tmp_path / "out").features
    assert features["label"] == Value("int64") and features["grade"] == same["grade"]
    assert said == ["files differ in the features of `label`, such as class names: the export has none"]
    assert said[0] in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.parametrize("states", [True, False])
def test_features_of_a_folder_of_save_to_disk_are_kept_where_its_files_state_none_too(tmp_path, states):
    made = make_set({"label": [0, 1]}, label=ClassLabel(names=["neg", "pos"]))
    made.save_to_disk(str(tmp_path / "c"))
    if not states:
        (path,) = (tmp_path / "c").glob("*.arrow")
        table = pa.ipc.open_stream(path.read_bytes()).read_all().replace_schema_metadata(None)
        with pa.ipc.new_stream(str(path), table.schema) as writer:
            writer.write_table(table)
    run = make_run(tmp_path / "run", [tmp_path / "c"])
    export(str(tmp_path / "out"), str(run.path))
    assert load(tmp_path / "out").features["label"] == made.features["label"]
    loaded = datasets.load_from_disk(str(tmp_path / "out"))["train"]
    assert loaded.features["label"] == made.features["label"]


def test_features_of_a_dataset_by_its_name_are_kept(tmp_path):
    made = make_set({"label": [0, 1]}, label=ClassLabel(names=["neg", "pos"]))
    write_set(tmp_path / "named" / "train.parquet", made)
    run = make_run(tmp_path / "run", [f"{tmp_path / 'named'}:train"])
    export(str(tmp_path / "out"), str(run.path))
    assert load(tmp_path / "out").features["label"] == made.features["label"]


def test_metadata_of_pandas_and_metadata_that_are_broken_say_nothing(tmp_path, said):
    table = pa.table({"text": ["document 0", "document 1"], "n": [1, 2]})
    for name, metadata in {
        "pandas": {"pandas": json.dumps({"columns": []})},
        "broken": {"huggingface": "{"},
        "other": {"huggingface": json.dumps({"info": {"features": None}})},
        "unknown": {"huggingface": json.dumps({"info": {"features": {"n": {"_type": "Hologram"}}}})},
    }.items():
        (tmp_path / name).mkdir()
        pq.write_table(table.replace_schema_metadata(metadata), tmp_path / name / "a.parquet")
        run = make_run(tmp_path / f"{name}.run", [tmp_path / name])
        export(str(tmp_path / f"{name}.out"), str(run.path), format="parquet")
        loaded = load(tmp_path / f"{name}.out")
        assert [original(row) for row in loaded.to_list()] == table.to_pylist()
    assert len(said) == 1 and "features of `n`" in said[0]


@pytest.mark.parametrize("kind", ["hf", "parquet"])
def test_a_shard_is_written_again_where_a_later_table_says_other_features(tmp_path, kind):
    made = make_set({"label": [0, 1]}, label=ClassLabel(names=["neg", "pos"])).data.table
    writer = ShardWriter(tmp_path, kind, 10)
    writer.add(made)
    assert b"pos" in build_schema(writer.shape).metadata[b"huggingface"]
    writer.add(made.replace_schema_metadata(None))
    files = writer.finish()
    assert list_lost_features(writer.shape) == ["label"] and len(files) == 4
    for file in files:
        path = tmp_path / file.path
        schema = pq.read_schema(path) if kind == "parquet" else pa.ipc.open_stream(path.read_bytes()).schema
        assert Features.from_arrow_schema(schema)["label"] == Value("int64")


def test_the_features_of_added_columns_are_stated_too(tmp_path):
    write_set(tmp_path / "c" / "a.parquet", make_set({}))
    run = make_run(tmp_path / "run", [tmp_path / "c"])
    export(str(tmp_path / "out"), str(run.path), format="parquet")
    (path,) = (tmp_path / "out" / "data").iterdir()
    stated = json.loads(pq.read_schema(path).metadata[b"huggingface"])["info"]["features"]
    assert stated.keys() == set(pq.read_schema(path).names)
    assert stated["text"] == {"dtype": "string", "_type": "Value"}
    assert stated["curate_tokens"] == {"dtype": "int64", "_type": "Value"}
