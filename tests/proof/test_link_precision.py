"""Links in worlds whose truth is known: no certain link is wrong, and most of the true links are certain."""

from bench.link_precision import Score, measure

LEAST_PERCENT = {
    "conversion": 94,
    "fee": 96,
    "order": 100,
    "refund": 96,
    "same_money": 100,
    "tax": 92,
    "transfer": 50,
}
"""The least part of the true links that is certain, in a world as small as this one. Transfers from an exchange whose
rows have no text can only be candidates."""


def test_no_certain_link_is_wrong_and_most_links_are_certain() -> None:
    scores = measure(seed=4, people=2, flows=1_000)
    assert sum(score.certain for score in scores.values()) > 3_000
    assert {kind: score.wrong for kind, score in scores.items()} == dict.fromkeys(LEAST_PERCENT, 0)
    for kind, least in LEAST_PERCENT.items():
        score: Score = scores[kind]
        assert 100 * score.certain >= least * score.true, (kind, score)
        assert score.certain + score.right == score.true, "what is not certain is a candidate"
