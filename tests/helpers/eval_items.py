"""A few eval items, made-up ones, and filler to plant them in."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Item:
    set: str
    questions: tuple[str, ...]
    context: str = ""
    choices: tuple[str, ...] = ()
    answer: str = ""


PENS = Item(
    "shop",
    ("Marguerite bought five boxes of pens at two dollars each; how much did she give the cashier?",),
    answer="10",
)
LAKE = Item("lake", ("Which glacial lake in Patagonia drains westward through the Baker river to the Pacific ocean?",))
POET = Item("poet", ("What German poet was descended from Huguenots?",), answer="Theodor Fontane")
AUTHOR = Item(
    "exam",
    ("Which is true?",),
    "The herring gull nests on slate roofs of the harbour town, and "
    "every spring the council sends men with ladders to take away the eggs before they hatch.",
    ("to praise the council for its ladders", "to describe a yearly quarrel over the roofs"),
)
TINY = Item("tiny", ("Who are you?",))
COMMON = Item("exam", ("Which of the following is true about the author of the second passage?",))
ITEMS = [PENS, LAKE, POET, AUTHOR, TINY, COMMON]

FILLER = (
    "The committee met on a Tuesday in the old town hall. Minutes of the last meeting were read and approved. "
    "A letter from the water board was laid on the table; members asked for a second opinion on the pump.\n"
    "There was no other business, and the meeting closed at nine in the evening. "
)


def made_up_items(count, draw):
    """Items of 8 to 60 made-up words, which English does not know: the rule is about their order alone."""

    def word():
        return "".join(draw.choice("bcdfghjklmnprst") + draw.choice("aeiou") for _ in range(3))

    return [Item("made up", (" ".join(word() for _ in range(draw.randrange(8, 60))),)) for _ in range(count)]
