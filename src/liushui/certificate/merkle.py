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
    """Computes the root of leaves that are added one after another. Memory grows with the logarithm of their number."""

    def __init__(self) -> None:
        self.size = 0
        self._roots: list[bytes] = []
        """The roots of the complete trees over the leaves so far, the largest first: one for each bit of size."""

    def add(self, leaf: bytes) -> None:
        """Add the next leaf."""
        node, size = leaf_hash(leaf), self.size
        while size & 1:
            node = _node_hash(self._roots.pop(), node)
            size >>= 1
        self._roots.append(node)
        self.size += 1

    def root(self) -> bytes:
        """The root of the leaves so far. Without leaves: the hash of the empty string."""
        if not self._roots:
            return sha256(b"").digest()
        *roots, node = self._roots
        for left in reversed(roots):
            node = _node_hash(left, node)
        return node


class Tree:
    """The tree of all leaves, given by their hashes. Its memory is about twice that of the hashes."""

    def __init__(self, hashes: list[bytes]) -> None:
        self.size = len(hashes)
        self._levels = [hashes]
        """The roots of all complete trees of 1, 2, 4… leaves, from left to right."""
        while len(hashes) > 1:
            hashes = [_node_hash(*hashes[at : at + 2]) for at in range(0, len(hashes) - 1, 2)]
            self._levels.append(hashes)

    def root(self) -> bytes:
        """The root of all leaves. Without leaves: the hash of the empty string."""
        return self._root(0, self.size) if self.size else sha256(b"").digest()

    def path(self, index: int) -> list[bytes]:
        """The audit path of the leaf at `index`, from the leaf up."""
        path: list[bytes] = []
        begin, end = 0, self.size
        while end - begin > 1:
            middle = begin + _left_size(end - begin)
            if index < middle:
                path.append(self._root(middle, end))
                end = middle
            else:
                path.append(self._root(begin, middle))
                begin = middle
        return path[::-1]

    def _root(self, begin: int, end: int) -> bytes:
        """The root of the leaves [begin, end), a part that the tree is divided into."""
        size = end - begin
        if size & (size - 1) == 0:
            return self._levels[size.bit_length() - 1][begin // size]
        middle = begin + _left_size(size)
        return _node_hash(self._root(begin, middle), self._root(middle, end))


def root_of_path(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """Return the root to which an audit path leads; None if no leaf at `index` of `size` leaves has such a path."""
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
