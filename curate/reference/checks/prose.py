"""Texts for the self-check, written for it, so that no model has met them.

``SHORT`` are of every length and awkward bytes: they show whether texts that share a pass disturb each other. ``PROSE``
is what corpora are made of, long enough that the rounding of half precision shows as it does in documents.
"""

SHORT = (
    "A",
    "The cat sat on the mat, and the dog looked on.",
    "def add(left: int, right: int) -> int:\n    return left + right\n\n\nprint(add(2, 40))\n",
    "In 1969 two people walked on the Moon for 2 hours and 31 minutes; a third one waited in orbit above them. "
    "What they brought back, 21.55 kilograms of rock and dust, is studied to this day.",
    "Größe, naïve, 東京, Привет, 🙂 — and then plain words again, so that rare bytes meet common ones.",
    "It is a truth that whoever keeps a ledger finds out sooner or later: the sums must agree. " * 6,
)

PROSE = (
    """\
The weir at Hallam Bridge was finished in the spring of 1871, two years late and nearly twice over its budget. It
was meant to raise the river by some four feet, enough for the barges that carried wool and coal to pass the shallows
below the town, and for a decade it did so without much trouble. What nobody had reckoned with was the silt. Every
winter the floods left a bar of gravel and clay behind the sluices, and every summer the council paid forty men to dig
it out again by hand. By 1890 the railway had taken most of the trade, the lock keeper had become a gardener, and the
weir was known chiefly as the best place in the county to catch eels. It was repaired once more in 1923, when a mill
that made paper bought the rights to its water.""",
    """\
"You said you would call," Marta said. She did not turn around; she went on cutting the bread, slowly, as if the
knife needed all of her attention.

"I know what I said." He put his wet coat over the chair and then, thinking better of it, took it off again and hung it
behind the door. "The bus broke down outside Leyton. There was one telephone, and an old man was shouting into it about
his sister's goat. I waited half an hour."

"A goat."

"It had eaten the curtains. I can tell you the whole story, if you want; by the end of it I knew the names of the
children." She laughed then, although she had meant not to, and pushed the plate across the table. There was soup, too,
but it had gone cold.""",
    """\
Before you replace the filter, switch the pump off at the wall and wait for at least ten minutes, since the housing
stays under pressure for a while after the motor stops. Close both valves. Put a bucket under the drain plug and open it
by half a turn; when the water runs clear, take the plug out completely. The lid is held by six screws. Loosen them in
pairs, each opposite the last, so that the seal does not twist. Lift the old cartridge straight up and let it drip.
Check the rubber ring for cracks, wipe the groove with a dry cloth, and grease the ring lightly with silicone (never
with oil, which makes it swell). Fit the new cartridge with the arrow pointing towards the outlet, and tighten the
screws by hand first.""",
    '''\
import csv
from collections import defaultdict
from pathlib import Path


class Ledger:
    """\
Amounts by account, read from a folder of CSV files with the columns date, account and amount."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.totals: dict[str, float] = defaultdict(float)

    def load(self) -> int:
        rows = 0
        for path in sorted(self.folder.glob("*.csv")):
            with open(path, newline="", encoding="utf-8") as handle:
                for row in csv.DictReader(handle):
                    if not row["amount"].strip():
                        continue
                    self.totals[row["account"]] += float(row["amount"])
                    rows += 1
        return rows

    def largest(self, count: int = 5) -> list[tuple[str, float]]:
        return sorted(self.totals.items(), key=lambda item: -abs(item[1]))[:count]
''',
    """\
Suppose that a bag holds twelve marbles, of which five are green, and that we draw three of them one after another
without putting any back. How likely is it that exactly two of the three are green? There are 12 · 11 · 10 = 1,320
ordered ways to draw three marbles. For two green ones and another we first choose which of the three draws gives the
other colour, in 3 ways; then the green marbles can be drawn in 5 · 4 = 20 ways, and the other one in 7. That makes
3 · 20 · 7 = 420 ordered ways, and the probability is 420 / 1,320 = 7 / 22, or about 0.318. The same result follows from
combinations: we choose 2 of 5 and 1 of 7, which is 10 · 7 = 70, and divide by the 220 ways of choosing 3 of 12.""",
    """\
The committee met on Tuesday to hear the third report on school meals, and again it could not agree. Officials told
members that the price of vegetables had risen by eleven per cent since last autumn while the grant had stayed where it
was, and that two of the nine kitchens would have to close before the end of the year unless money was found. A
spokeswoman for the parents said that they had offered to pay more but had never been given a figure. "We are not asking
for salmon," she told the meeting. "We are asking for something hot, five days a week." The chairman, who has promised a
decision on three occasions, said that he would write to the minister and that the matter would be taken up again in
March, once the accounts of the county were known.""",
    """\
> Does anyone know why the build is slow after the last upgrade? It took 4 minutes before, now it is closer to 25.

Same here. I had a look with the profiler and nearly all of it is spent in the linking step. If you pass --verbose you
can see that it scans the whole cache folder for each of the packages, and mine had grown to 60 GB (!) because nothing
ever cleans it. Deleting the folder helped for a day or so. The real fix seems to be setting cache.max_size in the
config file, e.g.

    [cache]
    max_size = "5GB"
    keep_days = 14

then run it once with --prune. I'm on version 3.2.1 under Ubuntu, no idea if that works on a Mac. hth, and please report
back if it doesn't, I might open an issue then.""",
    """\
Im Herbst, wenn die Boote aus dem Wasser genommen sind, wird es am See so still, dass man vom Ufer aus die Glocken
der anderen Seite hört. Dann kommen die Leute aus dem Dorf und sammeln das Holz, das der Sturm angetrieben hat. Früher
gehörte es dem Kloster, und wer mehr als einen Korb davon nahm, musste dafür einen Tag lang im Weinberg arbeiten. Heute
fragt niemand mehr danach. The children still learn the old rule by heart, though few of them could say what it means:
what the water gives in the morning belongs to whoever is awake.""",
)
