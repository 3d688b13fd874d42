"""``curate compare``: which of two models, corpora or weeks, with intervals and three answers.

    sides (runs, exports, baselines) → documents → units → contrasts → intervals → verdicts → screen, JSON, page

A side gives its documents as arrays (``documents``). Documents of one text that all sides hold are paired; else each
side is a sample of its own (``pairing``). Sums of units, documents or clusters of them, are what the bootstrap draws
(``units``, ``contrasts``), and a verdict is within, beyond or cannot tell (``verdicts``)::

    comparison = curate.compare(["base", "new"], within="domain", tolerance="0.5%")
    comparison.verdict, comparison.exit_code
"""
