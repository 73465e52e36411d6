"""Signed notes and Merkle trees, against vectors of other implementations."""

from base64 import b64decode
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liushui.certificate.merkle import Tree, TreeHasher, leaf_hash, root_of_path
from liushui.certificate.note import SigningKey, VerifierKey, open_note
from liushui.errors import CertificateError, InvalidField

# The example of Go's golang.org/x/mod/sumdb/note, which C2SP's signed-note specifies. Ed25519 is deterministic, so the
# same key must make the same note.
GO_KEY = VerifierKey.parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
GO_SEED = b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]
GO_TEXT = b"""If you think cryptography is the answer to your problem,
then you don't know what your problem is.
"""
GO_NOTE = (
    GO_TEXT.decode()
    + "\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
).encode()

OTHER_KEY = VerifierKey.parse("EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop")

# The tree of RFC 6962's reference implementation: its leaves, and the root after each of them.
LEAVES = [bytes.fromhex(leaf) for leaf in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657")]
LEAVES.append(bytes.fromhex("606162636465666768696a6b6c6d6e6f"))
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


def test_a_note_of_another_implementation_is_opened_and_made() -> None:
    assert open_note(GO_NOTE, [OTHER_KEY, GO_KEY]) == (GO_TEXT, GO_KEY)
    key = SigningKey("PeterNeumann", GO_SEED)
    assert key.verifier == GO_KEY
    assert key.sign(GO_TEXT) == GO_NOTE


def test_every_changed_byte_of_a_note_is_found() -> None:
    for at in range(len(GO_NOTE)):
        for bit in range(8):
            changed = bytearray(GO_NOTE)
            changed[at] ^= 1 << bit
            with pytest.raises(CertificateError):
                open_note(bytes(changed), [GO_KEY])


def test_a_note_by_other_keys_names_both() -> None:
    with pytest.raises(CertificateError, match=r"signed by PeterNeumann\+c74f20a3, .* known here are EnochRoot"):
        open_note(GO_NOTE, [OTHER_KEY])
    with pytest.raises(CertificateError, match="known here are none: "):
        open_note(GO_NOTE, [])


def test_signatures_of_unknown_keys_are_ignored() -> None:
    line = GO_NOTE.splitlines(keepends=True)[-1]
    other = line.replace(b"PeterNeumann", b"somebody")
    assert open_note(GO_NOTE.replace(line, other + line), [GO_KEY]) == (GO_TEXT, GO_KEY)


@pytest.mark.parametrize("note", [b"", b"\n", b"text\n", b"text\n\n", GO_NOTE[:-1], GO_NOTE + b"\n", GO_NOTE * 20])
def test_what_is_not_a_note(note: bytes) -> None:
    with pytest.raises(CertificateError):
        open_note(note, [GO_KEY])


@pytest.mark.parametrize(
    "text", ["", "a", "a+b", "a+b+c", str(GO_KEY)[:-1], str(GO_KEY).replace("c7", "c8"), "a b+1+2"]
)
def test_what_is_not_a_key(text: str) -> None:
    with pytest.raises(InvalidField, match="key: expected a verifier key"):
        VerifierKey.parse(text)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\n", "a\x00"])
def test_a_name_that_no_key_can_have(name: str) -> None:
    with pytest.raises(InvalidField, match="name: expected a name without spaces"):
        SigningKey(name, GO_SEED)


def test_roots_and_paths_are_those_of_the_rfc() -> None:
    tree = TreeHasher()
    assert tree.root() == sha256(b"").digest()
    for leaf, root in zip(LEAVES, ROOTS, strict=True):
        tree.add(leaf)
        assert tree.root().hex() == root
    path = Tree([leaf_hash(leaf) for leaf in LEAVES]).path(5)
    assert [node.hex() for node in path] == [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]


@given(st.integers(1, 70), st.data())
def test_a_path_proves_its_leaf_alone(size: int, data: st.DataObject) -> None:
    leaves = [number.to_bytes(2) for number in range(size)]
    tree = TreeHasher()
    for leaf in leaves:
        tree.add(leaf)
    root, whole = tree.root(), Tree([leaf_hash(leaf) for leaf in leaves])
    assert whole.root() == root
    index = data.draw(st.integers(0, size - 1))
    path = whole.path(index)
    assert root_of_path(leaves[index], index, size, path) == root
    for other in range(size):
        if other != index:
            assert root_of_path(leaves[other], index, size, path) != root
            assert root_of_path(leaves[index], other, size, path) != root
    assert root_of_path(leaves[index], index, size, [*path, root]) is None
    if path:
        assert root_of_path(leaves[index], index, size, path[:-1]) != root
