"""``curate publish``: the numbers of a run or of a comparison, for the tools that already watch a service.

    run, or JSON of a comparison → measurements (name, value, labels) → prometheus, otel, mlflow, bigquery

``metrics`` is the one table of names; ``run_metrics`` and ``comparison_metrics`` make the flat list, and each target
writes that list and nothing else. There is no server and nothing that stays::

    curate.publish("curated", to="prometheus:/var/lib/node_exporter/curate.prom", within="domain")
    curate.publish("gate.json", to=["otel:http://localhost:4318", "mlflow:http://localhost:5000"])
"""
