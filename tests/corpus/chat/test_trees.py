"""Trees of messages, of any depth."""

from helpers.conversations import assistant

from curate.corpus.chat.schemas import read_turns


def test_a_tree_deeper_than_python_recurses_is_read():
    tree = {"text": "end", "role": "assistant", "replies": []}
    for _ in range(3000):
        tree = {"text": "x", "role": "prompter", "replies": [tree]}
    turns = read_turns({"prompt": tree}, "tree")
    assert len(turns) == 3001 and turns[-1] == assistant("end")
