"""Recipes: YAML lists of verbs, checked completely before anything runs.

recipe         a recipe, checked                parser          YAML to steps, with the line of every mistake
yaml_nodes     YAML nodes with their lines      parameters      the parameters of a verb, from its signature
stage_graph    which step reads what            preflight       checks of a recipe before it runs
step_records   what each step was made from     runner          the steps, one after the other
"""
