"""The packaged list of well-known eval sets is sound."""

from curate.stages.decontaminate.evalsets.column_names import alike
from curate.stages.decontaminate.evalsets.known import read_known


def test_the_packaged_list_is_sound():
    known = read_known()
    assert len(known) >= 30 and {"gsm8k", "mmlu", "arc_challenge", "humaneval", "bbh"} <= set(known)
    assert len({alike(name) for name in known}) == len(known)
    for name, entry in known.items():
        assert entry.parts and entry.seen_in and entry.fields["question"], name
        assert all(part.count(":") == 1 and "/" in part for part in entry.parts), name
        assert entry.revision is None or (len(entry.revision) == 40 and entry.revision.isalnum())
