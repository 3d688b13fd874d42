"""Clusters of similar documents: the components of near copies with their exact copies, and the document that is kept.

Documents are numbers here. This module reads no text and no file.
"""

from dataclasses import dataclass

import numpy as np

from curate.runtime.arrays import BoolArray, Float64Array, Int64Array
from curate.stages.dedup.options import Keeper
from curate.stages.dedup.pairs.near_copies import NONE, NearCopies


def rank_documents(rule: Keeper, num_bytes: Int64Array, perplexities: Float64Array) -> Int64Array | Float64Array:
    """Return a number for each document, the lowest for the one to keep; NaN, where there is no perplexity, is last.

    Both arrays have an entry for each document.
    """
    if rule == "longest":
        return -num_bytes
    if rule == "first":
        return np.zeros_like(num_bytes)
    return perplexities


def choose_keepers(
    clusters: Int64Array, ranks: Int64Array | Float64Array, dropped: Int64Array | None = None
) -> Int64Array:
    """Return for each document the index of its cluster's keeper: the lowest rank, then the earliest.

    All arrays have an entry for each document. A document that is ``dropped`` (1, else 0) for another reason is no
    keeper unless its cluster has no other document.
    """
    late = np.zeros(len(clusters), np.int64) if dropped is None else dropped
    order = np.lexsort((np.arange(len(clusters)), ranks, late, clusters))
    names, first = np.unique(clusters[order], return_index=True)
    keepers: Int64Array = order[first][np.searchsorted(names, clusters)]
    return keepers


def number_clusters(clusters: Int64Array) -> Int64Array:
    """Return the same clusters numbered 0, 1, 2 … in the order of their first documents."""
    _, first, inverse = np.unique(clusters, return_index=True, return_inverse=True)
    numbers = np.empty(len(first), np.int64)
    numbers[np.argsort(first)] = np.arange(len(first))
    renumbered: Int64Array = numbers[inverse]
    return renumbered


@dataclass(frozen=True, slots=True, eq=False)
class ClusterSet:
    """Our documents that have copies; one entry for each in every array."""

    numbers: Int64Array
    """Numbers of the documents, ascending."""
    words: Int64Array
    """The number of the document that represents all of ours with the same words."""
    clusters: Int64Array
    """The name of the document's cluster: the number of one of its documents, or of the keeper among the others."""
    others: Int64Array
    """The number of its keeper among the others, NONE where that is one of ours."""
    same: BoolArray
    """Whether another document of the cluster has the same words."""


def gather_clusters(copies: tuple[Int64Array, Int64Array, Int64Array], near: NearCopies) -> ClusterSet:
    """Return the clusters that exact copies and near copies make up together.

    ``copies`` are our documents whose words another one has, ascending, the first of ours with these words, and the
    first among the others (NONE where there is none).
    """
    numbered, first, other = copies
    documents = near.documents.astype(np.int64)
    ours = documents[: len(near.roots)]
    numbers = np.union1d(numbered, ours)
    words, others = numbers.copy(), np.full(len(numbers), NONE, np.int64)
    at = np.searchsorted(numbers, numbered)
    words[at], others[at] = first, other
    indices, found = find_sorted(ours, words)
    clusters = words.copy()
    clusters[found] = ours[near.roots[indices[found]]]
    matched = found.copy()
    matched[found] = near.keepers[indices[found]] != NONE
    others[matched] = documents[near.keepers[indices[matched]]]
    clusters = np.where(others == NONE, clusters, others)
    return ClusterSet(numbers, words, clusters, others, np.isin(numbers, numbered))


def find_sorted(haystack: Int64Array, needles: Int64Array) -> tuple[Int64Array, BoolArray]:
    """Return the index of each needle in an ascending array, and whether it is there."""
    indices = np.searchsorted(haystack, needles)
    found = np.zeros(len(needles), bool)
    inside = indices < len(haystack)
    found[inside] = haystack[indices[inside]] == needles[inside]
    return indices, found
