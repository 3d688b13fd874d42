"""JSON arrays and concatenated objects: what a file holds decides, and damage is a row."""

from helpers.corpora import COMPRESS, read, texts_of, write_records

from curate.corpus import open_corpus


def test_text_behind_the_end_of_an_array_is_a_row(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('[{"text": "a"}, {"text": broken}, {"text": "b"},] {"text": "c"}')
    found = list(read(open_corpus([str(path)])).values())
    assert [text for _, text, _, _ in found] == ["a", None, "b", None]
    assert "element 2, byte 25: not valid JSON" in found[1][2] and "ends after element 3" in found[3][2]


def test_a_json_file_is_taken_for_what_it_holds(tmp_path):
    for body, texts in {
        b"": [],
        b" \n": [],
        b"[]\n": [],
        b'\xef\xbb\xbf\n [{"text": "]"}]\n': ["]"],
        b'{\n"text": "a"}\n\n{\n"text": "b"}\n': ["a", "b"],
        b'{"text": "broken\n{"text": "a"}\n\n{"text": "b"}\n': [None, "a", "b"],
        b'{"text": "one object"}': ["one object"],
        b'[{"text": "a"}': ["a", None],
        b'[{"text": "a"}, {"text"': ["a", None],
    }.items():
        (tmp_path / "a.json").write_bytes(body)
        write_records(tmp_path / "a.json.gz", []).write_bytes(COMPRESS[".gz"](body))
        assert texts_of(tmp_path / "a.json") == texts_of(tmp_path / "a.json.gz") == texts
