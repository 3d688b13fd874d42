"""Messages whose keys or roles are not known: who speaks takes turns, what is said is long, and who begins asks."""

import pytest

from curate.corpus.chat.named_columns import FieldNames
from curate.sft.datasets.message_guesses import MessageGuess, guess_messages

QUESTION, ANSWER = "Why is the sky blue, and the grass green?", "Light is scattered by the air; grass keeps its own."


def talk(role, content, roles, number):
    """Two messages that have many other keys than those of a role and a content."""
    return [
        {"at": f"{number}:{at}", "lang": "en", role: roles[at], "mood": ["glad"][0], content: f"{text} {number}"}
        for at, text in enumerate((QUESTION, ANSWER))
    ]


@pytest.mark.parametrize(
    ("role", "content", "roles", "expected"),
    [
        ("who", "said", ("kunde", "agent"), ("kunde=user", "agent=assistant")),
        ("party", "txt", ("user", "assistant"), ()),
        ("speaker_id", "line", (0, 1), ("0=user", "1=assistant")),
        ("n", "s", ("helper", "patient"), ("helper=assistant", "patient=user")),
        ("role", "said", ("user", "assistant"), ()),
        ("who", "content", ("human", "gpt"), ()),
        ("name", "body_text", ("client", "customer_api"), ("client=user", "customer_api=assistant")),
    ],
)
def test_keys_and_roles_are_found_by_what_they_hold(role, content, roles, expected):
    found = guess_messages([talk(role, content, roles, number) for number in range(5)])
    keys = ((role,) if role != "role" else (), (content,) if content != "content" else ())
    assert found == MessageGuess(*keys, expected)


def test_keys_within_objects_are_paths():
    rows = [
        [{"author": {"role": who}, "content": {"parts": [text]}} for who, text in (("user", QUESTION), ("bot", ANSWER))]
        for _ in range(4)
    ]
    found = guess_messages(rows)
    assert found is not None and found.role_key == ("author.role",) and found.content_key == ("content.parts",)


def test_a_question_and_its_answer_in_one_object_are_roles():
    rows = [[{"q": QUESTION, "a": ANSWER}, {"q": "And why?", "a": "So."}]] * 4
    assert guess_messages(rows) == MessageGuess(roles=("q=user", "a=assistant"))
    known = [[{"user": QUESTION, "assistant": ANSWER}]] * 4
    assert guess_messages(known) == MessageGuess()


def test_roles_that_are_known_are_not_guessed_again():
    rows = [talk("role", "content", ("kunde", "agent"), number) for number in range(4)]
    assert guess_messages(rows, FieldNames(roles=(("kunde", "user"),))) == MessageGuess(roles=("agent=assistant",))


@pytest.mark.parametrize("rows", [[["a"]] * 3, [[{"title": "A", "year": 1}]] * 3, [3, None], [], ["plain text"] * 3])
def test_what_is_no_conversation_gives_no_guess(rows):
    assert guess_messages(rows) is None
