"""Clusters of similar documents: verified pairs joined through one another, and the one document of each that stays.

Documents are plain numbers here, and what is similar is the caller's to say. Pairs come from buckets: documents that
LSH found alike. Nothing here reads a text or touches a disk.
"""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Similarity = Callable[[int, int], float]

COMPARISONS = 64  # that one document may cost within one bucket
NONE = -1
KEEP = ("longest", "first", "lowest-ppl")


class UnionFind:
    """Which of the documents 0 … count − 1 are joined, directly or through others (union-find)."""

    __slots__ = ("_parents",)

    def __init__(self, count: int):
        self._parents = array("q", range(count))

    def root(self, document: int) -> int:
        """The one document that stands for all that are joined with this one."""
        parents = self._parents
        while parents[document] != document:
            parents[document] = parents[parents[document]]
            document = parents[document]
        return document

    def join(self, root: int, other: int) -> None:
        """Put all that ``other`` stands for under ``root``; both are roots."""
        self._parents[other] = root

    def roots(self) -> Array:
        return np.array([self.root(document) for document in range(len(self._parents))], np.int64)


@dataclass(slots=True)
class PairVerifier:
    """Compares pairs exactly, and keeps what it found."""

    similarity: Similarity
    sizes: Sequence[int]
    """Elements of each document's set; none is 0."""
    threshold: float
    links: "array[float]"
    """The highest similarity of at least the threshold that each document has shown with another, 0 for none."""
    compared: int = 0
    agreed: int = 0
    crowded: set[int] = field(default_factory=set)
    """Documents that met more than COMPARISONS strangers in one bucket and were not compared with all of them."""

    def agree(self, first: int, second: int) -> bool:
        """Whether two documents are at least as similar as the threshold."""
        sizes = self.sizes[first], self.sizes[second]
        if min(sizes) / max(sizes) < self.threshold:
            return False  # the most that sets of such sizes can share
        self.compared += 1
        found = self.similarity(first, second)
        if found < self.threshold:
            return False
        self.agreed += 1
        for document in (first, second):
            self.links[document] = max(self.links[document], found)
        return True


def verifier(similarity: Similarity, sizes: Sequence[int], threshold: float) -> PairVerifier:
    """A verifier that has compared nothing yet."""
    return PairVerifier(similarity, sizes, threshold, array("d", bytes(8 * len(sizes))))


def join_bucket(members: Sequence[int], forest: UnionFind, checked: PairVerifier) -> None:
    """Join the documents of one bucket that are similar, whether directly or through others.

    Two documents that are joined already are not compared again. Each other pair of the bucket is compared, as long as
    a document meets no more than COMPARISONS strangers: first the earliest document of each cluster, then the others.
    A document that meets more of them is noted as crowded. So a bucket of n documents costs at most n · COMPARISONS
    comparisons, one of copies of one text n − 1, and in a bucket of up to COMPARISONS + 1 nothing is left out.
    """
    seen: dict[int, list[int]] = {}
    for member in members:
        own = meet(member, seen, forest, checked)
        seen.setdefault(own, []).append(member)


def meet(member: int, seen: dict[int, list[int]], forest: UnionFind, checked: PairVerifier) -> int:
    """Compare a document with the clusters that a bucket has shown, by their roots.  → its own root"""
    own, left = forest.root(member), COMPARISONS
    for leaders in (True, False):
        for root in list(islice(seen, COMPARISONS + 2)):
            if root == own or root not in seen:
                continue
            for other in seen[root][:1] if leaders else seen[root][1 : left + 2]:
                if not left:
                    checked.crowded.add(member)
                    return own
                left -= 1
                if checked.agree(member, other):
                    own = merge(own, root, seen, forest)
                    break
    return own


def merge(own: int, root: int, seen: dict[int, list[int]], forest: UnionFind) -> int:
    """Join two clusters. One that the bucket knows keeps its place in it.  → the root of both"""
    kept, gone = (own, root) if own in seen else (root, own)
    forest.join(kept, gone)
    seen[kept] += seen.pop(gone, [])
    return kept


def match_bucket(own: Sequence[int], others: Sequence[int], keepers: "array[int]", checked: PairVerifier) -> None:
    """Find for each of our documents in a bucket one of the others that it is similar to, and enter it in ``keepers``.

    Documents that have a keeper are passed over; each is compared with the first COMPARISONS others at most.
    """
    for member in own:
        if keepers[member] != NONE:
            continue
        for other in others[:COMPARISONS]:
            if checked.agree(member, other):
                keepers[member] = other
                break
        else:
            if len(others) > COMPARISONS:
                checked.crowded.add(member)


def cluster_documents(
    buckets: Callable[[], Iterable[Sequence[int]]], own: int, count: int, checked: PairVerifier
) -> tuple[Array, Array]:
    """Cluster the documents below ``own`` through their buckets; the others, up to ``count``, only take them away.

    A document that is similar to one of the others has that as its keeper and joins no cluster.  → the root of each
    of our documents (itself where it is joined with none), and its keeper among the others or NONE
    """
    keepers = array("q", [NONE]) * own
    if own < count:
        for bucket in buckets():
            split = bisect_left(bucket, own)
            match_bucket(bucket[:split], bucket[split:], keepers, checked)
    forest = UnionFind(own)
    for bucket in buckets():
        members = [member for member in bucket if member < own and keepers[member] == NONE]
        if len(members) > 1:
            join_bucket(members, forest, checked)
    return forest.roots(), np.array(keepers, np.int64)


# Who stays.


def rank_documents(rule: str, octets: Array, perplexities: Array) -> Array:
    """A number for each document, the lowest for the one to keep; NaN, where there is no perplexity, comes last."""
    if rule == "longest":
        return -octets
    if rule == "first":
        return np.zeros_like(octets)
    if rule == "lowest-ppl":
        return perplexities
    raise ValueError(f"keep one of {', '.join(KEEP)}, not {rule}")


def choose_keepers(clusters: Array, ranks: Array, dropped: Array | None = None) -> Array:
    """For each document the place of its cluster's keeper: the lowest rank, then the earliest.

    What is ``dropped`` (1, else 0) for another reason stays for nobody, unless all of its cluster are.
    """
    late = np.zeros(len(clusters), np.int64) if dropped is None else dropped
    order = np.lexsort((np.arange(len(clusters)), ranks, late, clusters))
    named, first = np.unique(clusters[order], return_index=True)
    keepers: Array = order[first][np.searchsorted(named, clusters)]
    return keepers


def number_clusters(clusters: Array) -> Array:
    """The same clusters numbered 0, 1, 2 … in the order of their first documents."""
    _, first, which = np.unique(clusters, return_index=True, return_inverse=True)
    numbers = np.empty(len(first), np.int64)
    numbers[np.argsort(first)] = np.arange(len(first))
    found: Array = numbers[which]
    return found


# What each document is in the end.


@dataclass(frozen=True, slots=True, eq=False)
class ClusterSet:
    """Our documents that have copies, by their numbers, ascending; one entry for each in every array."""

    numbers: Array
    words: Array
    """The document that stands for all of ours with the same words."""
    clusters: Array
    """A name of its cluster: that of one of its documents, or of the keeper among the others."""
    others: Array
    """Its keeper among the others, NONE where it is one of ours."""
    same: Array
    """bool: whether another document of the cluster has the same words."""


def gather_families(copies: tuple[Array, Array, Array], near: Array, roots: Array, keepers: Array) -> ClusterSet:
    """Bring together what has exact copies and what was found by LSH.

    ``copies`` are our documents whose words another one has, ascending, the first of ours with these words, and the
    first among the others (NONE where there is none). ``near`` are the numbers of all documents that were in buckets,
    ascending; ``roots`` and ``keepers`` say, by place in ``near``, what became of those of ours.
    """
    numbered, first, other = copies
    own, sizes = near[: len(roots)], np.bincount(roots, minlength=len(roots))
    joined = own[(sizes[roots] > 1) | (keepers != NONE)]
    numbers = np.union1d(numbered, joined)
    words, others = numbers.copy(), np.full(len(numbers), NONE, np.int64)
    at = np.searchsorted(numbers, numbered)
    words[at], others[at] = first, other
    places, met = find(own, words)
    clusters = words.copy()
    clusters[met] = own[roots[places[met]]]
    matched = met.copy()
    matched[met] = keepers[places[met]] != NONE
    others[matched] = near[keepers[places[matched]]]
    clusters = np.where(others == NONE, clusters, others)
    return ClusterSet(numbers, words, clusters, others, np.isin(numbers, numbered))


def find(haystack: Array, needles: Array) -> tuple[Array, Array]:
    """The place of each needle in a sorted array, and whether it is there."""
    places = np.searchsorted(haystack, needles)
    there = np.zeros(len(needles), bool)
    inside = places < len(haystack)
    there[inside] = haystack[places[inside]] == needles[inside]
    return places, there
