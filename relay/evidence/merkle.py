"""Merkle trees as in RFC 9162, section 2.1 (the same as RFC 6962's): roots, inclusion and consistency proofs.

Pure functions over leaf hashes; the hash of a leaf is SHA-256(00 || bytes), of a node SHA-256(01 || left || right), of
the empty tree SHA-256 of nothing. Section numbers below are those of RFC 9162.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final

EMPTY: Final = hashlib.sha256().digest()
MAX_PATH: Final = 64
"""Hashes in an inclusion proof of any tree that fits this world."""


def node(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """A tree that grows at its right end: it keeps one hash for each full subtree, log2(size) in all."""

    __slots__ = ("_full", "size")

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        self._full: list[bytes] = []  # full subtrees, the largest first
        self.size = 0
        for leaf in leaves:
            self.add(leaf)

    def add(self, leaf: bytes) -> None:
        """Append one leaf's hash."""
        sha256, full, size = hashlib.sha256, self._full, self.size
        self.size = size + 1
        while size & 1:
            leaf = sha256(b"\x01" + full.pop() + leaf).digest()
            size >>= 1
        full.append(leaf)

    def root(self) -> bytes:
        """Return the root over all leaves so far."""
        if not self._full:
            return EMPTY
        out = self._full[-1]
        for left in reversed(self._full[:-1]):
            out = node(left, out)
        return out


def root(leaves: Sequence[bytes]) -> bytes:
    """Return the root over leaf hashes (2.1.1). An odd one at the end of a row goes up as it is."""
    if not leaves:
        return EMPTY
    sha256, row = hashlib.sha256, list(leaves)
    while len(row) > 1:
        above = [sha256(b"\x01" + row[at] + row[at + 1]).digest() for at in range(0, len(row) - 1, 2)]
        if len(row) & 1:
            above.append(row[-1])
        row = above
    return row[0]


def inclusion(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the proof that the leaf at ``index`` is in the tree over ``leaves`` (2.1.3.1), nearest the leaf first.

    Raises:
        IndexError: there is no such leaf.
    """
    if not 0 <= index < len(leaves):
        raise IndexError(index)
    path, row = [], list(leaves)
    while len(row) > 1:
        beside = index ^ 1
        if beside < len(row):
            path.append(row[beside])
        row = _above(row)
        index >>= 1
    return path


def consistency(leaves: Sequence[bytes], first: int) -> list[bytes]:
    """Return the proof that the tree over the first ``first`` leaves is the beginning of that over all (2.1.4.1).

    Empty for 0 and for all of them: there is nothing to prove.

    Raises:
        IndexError: ``first`` is larger than the tree.
    """
    if not 0 <= first <= len(leaves):
        raise IndexError(first)
    if first in {0, len(leaves)}:
        return []
    return _subproof(first, leaves, whole=True)


def included(leaf: bytes, index: int, size: int, path: Sequence[bytes], wanted: bytes) -> bool:
    """Whether ``path`` proves that ``leaf`` stands at ``index`` in the tree of ``size`` with root ``wanted`` (2.1.3.2)."""
    if not 0 <= index < size or len(path) > MAX_PATH:
        return False
    at, last, out = index, size - 1, leaf
    for beside in path:
        if last == 0:
            return False
        if at & 1 or at == last:
            out = node(beside, out)
            while not at & 1 and at:
                at >>= 1
                last >>= 1
        else:
            out = node(out, beside)
        at >>= 1
        last >>= 1
    return last == 0 and out == wanted


def consistent(first: int, first_root: bytes, size: int, wanted: bytes, path: Sequence[bytes]) -> bool:
    """Whether ``path`` proves that the tree of ``first`` leaves with its root begins that of ``size`` leaves (2.1.4.2)."""
    if not 0 <= first <= size or len(path) > 2 * MAX_PATH:
        return False
    if first == size:
        return not path and first_root == wanted
    if first == 0:
        return not path and first_root == EMPTY
    rest = list(path)
    at, last = first - 1, size - 1
    while at & 1:
        at >>= 1
        last >>= 1
    if at:
        if not rest:
            return False
        seed = rest.pop(0)
    else:
        seed = first_root  # the first tree is a full one: it stands for itself
    old, new = seed, seed
    for beside in rest:
        if last == 0:
            return False
        if at & 1 or at == last:
            old, new = node(beside, old), node(beside, new)
            while not at & 1 and at:
                at >>= 1
                last >>= 1
        else:
            new = node(new, beside)
        at >>= 1
        last >>= 1
    return last == 0 and old == first_root and new == wanted


def _above(row: Sequence[bytes]) -> list[bytes]:
    above = [node(row[at], row[at + 1]) for at in range(0, len(row) - 1, 2)]
    if len(row) & 1:
        above.append(row[-1])
    return above


def _subproof(first: int, leaves: Sequence[bytes], *, whole: bool) -> list[bytes]:
    size = len(leaves)
    if first == size:
        return [] if whole else [root(leaves)]
    split = 1 << ((size - 1).bit_length() - 1)
    if first <= split:
        return [*_subproof(first, leaves[:split], whole=whole), root(leaves[split:])]
    return [*_subproof(first - split, leaves[split:], whole=False), root(leaves[:split])]
