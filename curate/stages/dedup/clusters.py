"""Clusters of similar documents: verified pairs joined through one another, and the one document of each that is kept.

Documents are numbers here, and the caller says which are similar. Pairs come from buckets: documents that LSH found
alike. This module reads no text and no file.
"""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from curate.runtime.arrays import BoolArray, Float64Array, Int64Array
from curate.stages.dedup.options import Keeper

Similarity = Callable[[int, int], float]

COMPARISONS = 64
"""Comparisons that one document may cost within one bucket."""
NONE = -1


class UnionFind:
    """Which of the documents 0 … count − 1 are joined, directly or through others (union-find)."""

    __slots__ = ("_parents",)

    def __init__(self, count: int):
        self._parents = array("q", range(count))

    def root(self, document: int) -> int:
        """Return the document that represents all that are joined with this one."""
        parents = self._parents
        while parents[document] != document:
            parents[document] = parents[parents[document]]
            document = parents[document]
        return document

    def join(self, root: int, other: int) -> None:
        """Put all documents that ``other`` represents under ``root``; both are roots."""
        self._parents[other] = root

    def roots(self) -> Int64Array:
        """Return the root of every document, of shape (count,)."""
        return np.array([self.root(document) for document in range(len(self._parents))], np.int64)


@dataclass(slots=True)
class PairVerifier:
    """Compares pairs exactly, and keeps the results."""

    similarity: Similarity
    sizes: Sequence[int]
    """Elements of each document's set; none is 0."""
    threshold: float
    links: "array[float]"
    """The highest similarity of at least the threshold that each document has with another one, 0 for none."""
    compared: int = 0
    """Pairs that were compared."""
    agreed: int = 0
    """Pairs that reached the threshold."""
    crowded: set[int] = field(default_factory=set)
    """Documents that shared a bucket with more than COMPARISONS strangers and were not compared with all of them."""

    def agree(self, first: int, second: int) -> bool:
        """Return whether two documents are at least as similar as the threshold."""
        sizes = self.sizes[first], self.sizes[second]
        if min(sizes) / max(sizes) < self.threshold:
            return False  # the most that sets of such sizes can share
        self.compared += 1
        similarity = self.similarity(first, second)
        if similarity < self.threshold:
            return False
        self.agreed += 1
        for document in (first, second):
            self.links[document] = max(self.links[document], similarity)
        return True


def make_verifier(similarity: Similarity, sizes: Sequence[int], threshold: float) -> PairVerifier:
    """Return a verifier that has compared nothing yet."""
    return PairVerifier(similarity, sizes, threshold, array("d", bytes(8 * len(sizes))))


def join_bucket(members: Sequence[int], forest: UnionFind, verifier: PairVerifier) -> None:
    """Join the documents of one bucket that are similar, directly or through others.

    Two documents that are joined already are not compared again. Each other pair of the bucket is compared, as long as
    a document has no more than COMPARISONS strangers in it: first the earliest document of each cluster, then the
    others. A document that has more of them is noted as crowded. So a bucket of n documents costs at most
    n · COMPARISONS comparisons, one of copies of one text n − 1, and in a bucket of up to COMPARISONS + 1 nothing is
    left out.
    """
    seen: dict[int, list[int]] = {}
    for member in members:
        root = compare_with_clusters(member, seen, forest, verifier)
        seen.setdefault(root, []).append(member)


def compare_with_clusters(member: int, seen: dict[int, list[int]], forest: UnionFind, verifier: PairVerifier) -> int:
    """Compare a document with the clusters ``seen`` in a bucket, by their roots, and return its root."""
    own, left = forest.root(member), COMPARISONS
    for leaders in (True, False):
        for root in list(islice(seen, COMPARISONS + 2)):
            if root == own or root not in seen:
                continue
            for other in seen[root][:1] if leaders else seen[root][1 : left + 2]:
                if not left:
                    verifier.crowded.add(member)
                    return own
                left -= 1
                if verifier.agree(member, other):
                    own = merge_clusters(own, root, seen, forest)
                    break
    return own


def merge_clusters(first: int, second: int, seen: dict[int, list[int]], forest: UnionFind) -> int:
    """Join two clusters, given by their roots, and return the root of both.

    ``second`` is ``seen`` in the bucket; where ``first`` is too, it keeps its position there.
    """
    kept, gone = (first, second) if first in seen else (second, first)
    forest.join(kept, gone)
    seen[kept] += seen.pop(gone, [])
    return kept


def match_bucket(members: Sequence[int], others: Sequence[int], keepers: "array[int]", verifier: PairVerifier) -> None:
    """Enter in ``keepers``, for each of our documents in a bucket, one of the others that it is similar to.

    Documents that have a keeper are skipped; each is compared with the first COMPARISONS others at most.
    """
    for member in members:
        if keepers[member] != NONE:
            continue
        for other in others[:COMPARISONS]:
            if verifier.agree(member, other):
                keepers[member] = other
                break
        else:
            if len(others) > COMPARISONS:
                verifier.crowded.add(member)


def cluster_documents(
    buckets: Callable[[], Iterable[Sequence[int]]], num_ours: int, count: int, verifier: PairVerifier
) -> tuple[Int64Array, Int64Array]:
    """Return the root of each of our documents, and its keeper among the others, both of shape (num_ours,).

    Our documents are those below ``num_ours``, the others those from there up to ``count``. ``buckets`` gives the
    documents of each bucket, ascending, and is called more than once. A document that is similar to one of the others
    has that as its keeper, else NONE; it joins no cluster. The root of a document that is joined with none is itself.
    """
    keepers = array("q", [NONE]) * num_ours
    if num_ours < count:
        for bucket in buckets():
            split = bisect_left(bucket, num_ours)
            match_bucket(bucket[:split], bucket[split:], keepers, verifier)
    forest = UnionFind(num_ours)
    for bucket in buckets():
        members = [member for member in bucket if member < num_ours and keepers[member] == NONE]
        if len(members) > 1:
            join_bucket(members, forest, verifier)
    return forest.roots(), np.array(keepers, np.int64)


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


def gather_clusters(
    copies: tuple[Int64Array, Int64Array, Int64Array], near: Int64Array, roots: Int64Array, keepers: Int64Array
) -> ClusterSet:
    """Return the clusters that exact copies and the pairs found by LSH make up together.

    ``copies`` are our documents whose words another one has, ascending, the first of ours with these words, and the
    first among the others (NONE where there is none). ``near`` are the numbers of all documents that were in buckets,
    ascending; ``roots`` and ``keepers`` (``cluster_documents``) have an entry for each of ours, which come first in
    ``near``, and are indices of ``near``.
    """
    numbered, first, other = copies
    ours, sizes = near[: len(roots)], np.bincount(roots, minlength=len(roots))
    joined = ours[(sizes[roots] > 1) | (keepers != NONE)]
    numbers = np.union1d(numbered, joined)
    words, others = numbers.copy(), np.full(len(numbers), NONE, np.int64)
    at = np.searchsorted(numbers, numbered)
    words[at], others[at] = first, other
    indices, found = find_sorted(ours, words)
    clusters = words.copy()
    clusters[found] = ours[roots[indices[found]]]
    matched = found.copy()
    matched[found] = keepers[indices[found]] != NONE
    others[matched] = near[keepers[indices[matched]]]
    clusters = np.where(others == NONE, clusters, others)
    return ClusterSet(numbers, words, clusters, others, np.isin(numbers, numbered))


def find_sorted(haystack: Int64Array, needles: Int64Array) -> tuple[Int64Array, BoolArray]:
    """Return the index of each needle in an ascending array, and whether it is there."""
    indices = np.searchsorted(haystack, needles)
    found = np.zeros(len(needles), bool)
    inside = indices < len(haystack)
    found[inside] = haystack[indices[inside]] == needles[inside]
    return indices, found
