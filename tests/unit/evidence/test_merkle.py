"""Merkle trees: the vectors that implementations of RFC 6962 share, every proof of every small tree, no false proof."""

from __future__ import annotations

import hashlib
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.evidence import merkle
from relay.evidence.record import leaf_hash

INPUTS = [
    bytes.fromhex(one)
    for one in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
LEAVES = [leaf_hash(one) for one in INPUTS]
# Proofs over these eight leaves as the RFC's readers publish them: (leaf, size, path) and (first, size, path).
INCLUSION = [
    (0, 1, []),
    (
        0,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        5,
        8,
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (
        2,
        3,
        ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    ),
]
CONSISTENCY = [
    (1, 1, []),
    (
        1,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        6,
        8,
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (
        2,
        5,
        [
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]


def some(count: int) -> list[bytes]:
    return [leaf_hash(number.to_bytes(4, "big")) for number in range(count)]


def test_empty_tree() -> None:
    assert merkle.root([]) == merkle.EMPTY == merkle.Frontier().root() == hashlib.sha256(b"").digest()


@pytest.mark.parametrize("size", range(1, 9))
def test_known_roots(size: int) -> None:
    assert merkle.root(LEAVES[:size]).hex() == ROOTS[size - 1]
    assert merkle.Frontier(LEAVES[:size]).root().hex() == ROOTS[size - 1]


@pytest.mark.parametrize(("index", "size", "path"), INCLUSION)
def test_known_inclusion(index: int, size: int, path: list[str]) -> None:
    assert [one.hex() for one in merkle.inclusion(LEAVES[:size], index)] == path
    wanted = bytes.fromhex(ROOTS[size - 1])
    assert merkle.included(LEAVES[index], index, size, [bytes.fromhex(one) for one in path], wanted)


@pytest.mark.parametrize(("first", "size", "path"), CONSISTENCY)
def test_known_consistency(first: int, size: int, path: list[str]) -> None:
    assert [one.hex() for one in merkle.consistency(LEAVES[:size], first)] == path
    roots = bytes.fromhex(ROOTS[first - 1]), bytes.fromhex(ROOTS[size - 1])
    assert merkle.consistent(first, roots[0], size, roots[1], [bytes.fromhex(one) for one in path])


def test_every_inclusion_proof_of_every_small_tree() -> None:
    for size in range(1, 35):
        leaves = some(size)
        root = merkle.root(leaves)
        for index in range(size):
            path = merkle.inclusion(leaves, index)
            assert merkle.included(leaves[index], index, size, path, root)
            assert not merkle.included(leaves[index], index, size, [*path, bytes(32)], root)
            if path:
                assert not merkle.included(leaves[index], index, size, path[:-1], root)
            for other in range(size):  # a leaf is in one place alone
                assert merkle.included(leaves[index], other, size, path, root) == (other == index)


def test_every_consistency_proof_of_every_small_tree() -> None:
    leaves = some(34)
    roots = [merkle.root(leaves[:size]) for size in range(35)]
    for size in range(35):
        for first in range(size + 1):
            path = merkle.consistency(leaves[:size], first)
            assert merkle.consistent(first, roots[first], size, roots[size], path)
            assert not merkle.consistent(first, roots[first], size, roots[size], [*path, bytes(32)])
            if path:
                assert not merkle.consistent(first, roots[first], size, roots[size], path[:-1])
            if 0 < first < size:
                assert not merkle.consistent(first, roots[first - 1], size, roots[size], path)
                assert not merkle.consistent(first, roots[first], size, roots[size - 1], path)


@given(st.integers(1, 3000), st.data())
@settings(max_examples=40, deadline=None)
def test_larger_trees(size: int, data: st.DataObject) -> None:
    leaves = some(size)
    root = merkle.root(leaves)
    assert merkle.Frontier(leaves).root() == root
    index = data.draw(st.integers(0, size - 1))
    path = merkle.inclusion(leaves, index)
    assert merkle.included(leaves[index], index, size, path, root)
    first = data.draw(st.integers(0, size))
    proof = merkle.consistency(leaves, first)
    assert merkle.consistent(first, merkle.root(leaves[:first]), size, root, proof)
    for wrong in (path, proof):
        if wrong:
            at = data.draw(st.integers(0, len(wrong) - 1))
            wrong[at] = bytes([wrong[at][0] ^ 1]) + wrong[at][1:]
            assert not merkle.included(leaves[index], index, size, path, root) or wrong is proof
    if proof:
        assert not merkle.consistent(first, merkle.root(leaves[:first]), size, root, proof)


@given(st.integers(-3, 40), st.integers(-3, 40), st.lists(st.binary(min_size=32, max_size=32), max_size=8))
@settings(max_examples=300, deadline=None)
def test_no_invented_proof_holds(first: int, size: int, path: list[bytes]) -> None:
    root = merkle.root(some(20))
    assert not merkle.included(leaf_hash(b"never there"), first, size, path, root)
    assert not merkle.consistent(first, bytes(32), size, root, path)


def test_a_frontier_grows_as_the_tree_does() -> None:
    frontier, leaves = merkle.Frontier(), some(70)
    roots = []
    for number, leaf in enumerate(leaves, 1):
        frontier.add(leaf)
        assert frontier.root() == merkle.root(leaves[:number])
        roots.append(frontier.root())
    assert all(one != other for one, other in pairwise(roots))


def test_asking_for_what_is_not_there() -> None:
    for index in (-1, 3):
        with pytest.raises(IndexError):
            merkle.inclusion(some(3), index)
    with pytest.raises(IndexError):
        merkle.consistency(some(3), 4)
