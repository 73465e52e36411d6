"""Merkle trees of RFC 6962, section 2.1: the root of many leaves, and proofs that a leaf is one of them. Pure."""

from collections.abc import Sequence
from hashlib import sha256

HASH_BYTES = 32


def leaf_hash(leaf: bytes) -> bytes:
    """The hash of a leaf."""
    return sha256(b"\x00" + leaf).digest()


def _node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


class TreeHasher:
    """Computes the root of leaves that come one after another. Memory grows with the logarithm of their number."""

    def __init__(self) -> None:
        self.size = 0
        self._roots: list[bytes] = []
        """The roots of the complete trees that the leaves so far are in, the largest first: one for each bit of size.
        """

    def add(self, leaf: bytes) -> None:
        """Add the next leaf."""
        node, size = leaf_hash(leaf), self.size
        while size & 1:
            node = _node_hash(self._roots.pop(), node)
            size >>= 1
        self._roots.append(node)
        self.size += 1

    def root(self) -> bytes:
        """The root of the leaves so far. Of none: the hash of nothing."""
        if not self._roots:
            return sha256(b"").digest()
        *roots, node = self._roots
        for left in reversed(roots):
            node = _node_hash(left, node)
        return node


def inclusion_path(hashes: Sequence[bytes], index: int) -> list[bytes]:
    """The audit path of the leaf at `index`, from the leaf up. `hashes` are the hashes of all leaves."""
    path: list[bytes] = []
    begin, end = 0, len(hashes)
    while end - begin > 1:
        middle = begin + _left_size(end - begin)
        if index < middle:
            path.append(_root(hashes, middle, end))
            end = middle
        else:
            path.append(_root(hashes, begin, middle))
            begin = middle
    return path[::-1]


def root_of(hashes: Sequence[bytes]) -> bytes:
    """The root of the tree whose leaves have these hashes."""
    return _root(hashes, 0, len(hashes)) if hashes else sha256(b"").digest()


def root_of_path(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """The root that an audit path leads to; None for a path that no leaf at `index` of `size` leaves has."""
    if not 0 <= index < size:
        return None
    node, last = leaf_hash(leaf), size - 1
    for sibling in path:
        if last == 0:
            return None
        if index & 1 or index == last:
            node = _node_hash(sibling, node)
            while not index & 1 and index:
                index >>= 1
                last >>= 1
        else:
            node = _node_hash(node, sibling)
        index >>= 1
        last >>= 1
    return node if last == 0 else None


def _left_size(size: int) -> int:
    """The largest power of two below `size`."""
    return 1 << (size - 1).bit_length() - 1


def _root(hashes: Sequence[bytes], begin: int, end: int) -> bytes:
    if end - begin == 1:
        return hashes[begin]
    middle = begin + _left_size(end - begin)
    return _node_hash(_root(hashes, begin, middle), _root(hashes, middle, end))
