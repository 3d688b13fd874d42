"""Rankings of datasets, with intervals: sample, measure, compare, show.

    session = RankingSession([open_set("a.jsonl"), open_set("b.jsonl")], ResponseCache(Path("ranked")),
    RankingOptions()) session.draw_all() table = session.rank(session.measure(open_reader(ModelVariant("builtin",
    "auto"), ScoringConfig(), session.options)))

rank         all of ``curate rank-sft``         session           samples, measuring and ranking under a reader
measures     the list of measures               measured_dataset  sums of a dataset, flags, which are set aside
bootstrap    intervals over examples            table             one ranking, and comparisons of two
agreement    ties, agreement of rankings        dataset_report    what is reported of one dataset
summary      on the terminal                    files, page/      JSON, Parquet and HTML
chat_comparison   ``--chat-model``              example_runs      ``--examples``
"""
