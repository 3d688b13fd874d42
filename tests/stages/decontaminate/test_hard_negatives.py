"""Hard negatives are dropped in no language, their items are found in every one, and other numbers make a variant."""

import pytest
from helpers.eval_items import FILLER, Item

from curate.stages.decontaminate.detector import make_detector

FRAMES = {
    "en": ("Which of the following statements about {} is correct?", "photosynthesis in desert cacti",
           ["the Suez Canal", "municipal bonds", "the rules of cricket"]),
    "de": ("Welche der folgenden Aussagen über {} ist richtig?", "die Photosynthese der Kakteen",
           ["den Suezkanal", "kommunale Anleihen", "die Regeln des Handballs"]),
    "fr": ("Laquelle des affirmations suivantes concernant {} est correcte ?", "la photosynthèse des cactus",
           ["le canal de Suez", "les obligations municipales", "les règles du handball"]),
    "es": ("¿Cuál de las siguientes afirmaciones sobre {} es correcta?", "la fotosíntesis de los cactus",
           ["el canal de Suez", "los bonos municipales", "las reglas del balonmano"]),
    "ru": ("Какое из следующих утверждений о {} является верным?", "фотосинтезе пустынных кактусов",
           ["Суэцком канале", "муниципальных облигациях", "правилах гандбола"]),
    "zh": ("下列关于{}的说法中，哪一项是正确的？", "仙人掌光合作用", ["苏伊士运河", "市政债券", "手球比赛规则"]),
}  # fmt: skip
PENS = "Marguerite bought {} boxes of pens at {} dollars each; how much change did she get from {} dollars?"


def judge(detector, text):
    verdicts = {match.verdict for match in detector.scan([f"{FILLER}\n\n{text}\n\n{FILLER}"])}
    return next((one for one in ("contaminated", "variant", "review") if one in verdicts), "clean")


@pytest.mark.parametrize("code", FRAMES)
def test_the_frame_of_an_item_with_another_subject_is_no_leak_and_the_item_is(code):
    frame, subject, others = FRAMES[code]
    detector = make_detector([Item("set", (frame.format(subject),))])
    assert judge(detector, frame.format(subject)) == "contaminated"
    assert {judge(detector, frame.format(other)) for other in others} <= {"clean", "review"}


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        (PENS.format("5", "2", "20"), "contaminated"),
        (PENS.format("five", "two", "twenty"), "contaminated"),
        (PENS.format("5", "2", "20").upper(), "contaminated"),
        (PENS.format("7", "3", "40"), "variant"),
        (PENS.format("seven", "three", "forty"), "variant"),
        (PENS.format("5", "2", "50"), "variant"),
        (PENS.format("7", "3", "40").replace("Marguerite", "Benedikta"), "variant"),
        (PENS.format("several", "two", "20"), "contaminated"),
    ],
)
def test_an_item_with_other_numbers_is_a_variant_and_one_with_its_own_is_contaminated(text, verdict):
    assert judge(make_detector([Item("set", (PENS.format("5", "2", "20"),))]), text) == verdict


@pytest.mark.parametrize(
    ("item", "other"),
    [
        ("Ein Bauer hat 12 Hühner und kauft 7 Enten dazu; wie viele Tiere stehen abends im Stall?",
         "Ein Bauer hat 15 Hühner und kauft 9 Enten dazu; wie viele Tiere stehen abends im Stall?"),
        ("كان لدى التاجر ٤٥ سلة من التمر وباع منها ١٧ سلة في السوق؛ كم سلة بقيت لديه في المساء؟",
         "كان لدى التاجر 60 سلة من التمر وباع منها 23 سلة في السوق؛ كم سلة بقيت لديه في المساء؟"),
        ("민수는 구슬 34개를 가지고 있었는데 12개를 더 사고 동생에게 9개를 주었습니다. 남은 구슬은 몇 개니?",
         "민수는 구슬 51개를 가지고 있었는데 27개를 더 사고 동생에게 8개를 주었습니다. 남은 구슬은 몇 개니?"),
        ("小明有23个苹果，又买了15个苹果送给邻居的同学，晚上他的篮子里还剩下多少个苹果？",
         "小明有48个苹果，又买了31个苹果送给邻居的同学，晚上他的篮子里还剩下多少个苹果？"),
    ],
)  # fmt: skip
def test_variants_are_known_in_other_languages_and_digits(item, other):
    detector = make_detector([Item("set", (item,))])
    assert judge(detector, item) == "contaminated"
    assert judge(detector, other) == "variant"


def test_arabic_digits_and_those_of_europe_are_the_same_number():
    item = "كان لدى التاجر ٤٥ سلة من التمر وباع منها ١٧ سلة في السوق؛ كم سلة بقيت لديه في المساء؟"
    detector = make_detector([Item("set", (item,))])
    assert judge(detector, item.replace("٤٥", "45").replace("١٧", "17")) == "contaminated"


def test_frames_of_a_large_set_need_the_own_words_of_an_item():
    kinds = "duplicate rotated perrin woodball odd vowel heap octagonal nested bell magic gray"
    tasks = [f"{kind} numbers" for kind in kinds.split()]
    detector = make_detector(
        [Item("code", (f"Write a python function to count the number of {one}.",)) for one in tasks]
    )
    assert judge(detector, "Write a python function to count the number of lines in a file.") in ("clean", "review")
    assert judge(detector, "Write a python function to count the number of woodball numbers.") == "contaminated"


@pytest.mark.parametrize(
    ("item", "text", "verdict"),
    [
        ("How many bodies did the harbour parish of Lowestoft exhume?",
         "How many bodies did the harbour parish of Lowestoft disinter?", "contaminated"),
        ("Which actor was a replacement for the ventriloquist due to the illness of the main actor?",
         "Which actor was a substitute for the ventriloquist due to the illness of the main doer?", "contaminated"),
        ("Which of the following best describes the role of chlorophyll?",
         "Which of the following best describes the role of mitochondria?", "review"),
        ("Based on the passage, why could the splitters keep their work for another year?",
         "Based on the passage, why could the tenants keep their goats for another year?", "review"),
        ("Welche der folgenden Aussagen über Farne ist richtig?",
         "Welche der folgenden Aussagen über Pilze ist richtig?", "review"),
    ],
)  # fmt: skip
def test_one_word_in_another_s_place_is_the_same_question_where_telling_words_stand_beside_it(item, text, verdict):
    detector = make_detector([Item("set", (item,))])
    assert judge(detector, item) == "contaminated"
    assert judge(detector, text) == verdict


def test_a_question_that_is_a_frame_alone_is_found_with_its_choices_and_not_by_itself():
    names = "lemurs glaciers tariffs sonnets enzymes magnets viaducts mosses pendulums treaties ferns comets"
    kinds = names.split()
    pairs = [f"{one} and {other}" for one in kinds for other in kinds if one < other]
    frames = (
        "Which of the following statements must be true of {}?",
        "Which of the following statements of {} is true?",
    )
    others = [Item("exam", (frame.format(pair),)) for pair in pairs for frame in frames]
    bare = Item(
        "exam",
        ("Which of the following statements must be true?",),
        choices=("Ottilie seats the violist beside the harpist", "Bertram conducts neither cantata"),
    )
    detector = make_detector([bare, *others])
    assert judge(detector, bare.questions[0]) in ("clean", "review")
    assert judge(detector, "\n".join([bare.questions[0], *bare.choices])) == "contaminated"
