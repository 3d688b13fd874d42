"""Rankings of datasets, with intervals: sample, measure, compare, show.

    datasets = open_sets(["a.jsonl", "b.jsonl"], schema=None, on_error="quarantine")
    session = RankingSession(datasets, open_response_cache("ranked"), RankingOptions())
    session.draw_all()
    reader = open_reader(ModelVariant("builtin", "auto"), ScoringConfig(), session.options)
    table = session.rank(session.measure(reader))

rank         all of ``curate rank-sft``         session           samples, measuring and ranking under a reader
measures     the list of measures               measured_dataset  sums of a dataset, flags, which are set aside
bootstrap    intervals over examples            table             one ranking, and comparisons of two
agreement    ties, agreement of rankings        dataset_report    what is reported of one dataset
summary      on the terminal                    files, page/      JSON, Parquet and HTML
chat_comparison   ``--chat-model``              example_runs      ``--examples``
"""
