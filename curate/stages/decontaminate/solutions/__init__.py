"""Solutions of eval items in code, found in documents whatever their names, layout and comments.

queries      solutions as tokens     model       bits of surprise of tokens, by code in general
candidates   an inverted index       naming      whether names stand for each other throughout
matches      verdict and evidence    thresholds  the bits that a verdict needs
search       the above in one

search = make_solution_search(items)                   None where no answer is code
matches = search.scan(["def f(n): …"])
"""

from curate.stages.decontaminate.solutions.model import VERSION
from curate.stages.decontaminate.solutions.search import SolutionSearch, make_solution_search

__all__ = ["VERSION", "SolutionSearch", "make_solution_search"]
