"""The steps by which a read is proven, by name. A test may leave one out, to see what it holds; nothing else does."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Proofs:
    """Which steps are taken: all of them."""

    empty_page_after_the_last: bool = True
    """Where no total is stated, a page is the last one when the page after it is empty, however short it is itself."""
    total_equals_rows: bool = True
    """As many rows as the provider counts."""
    two_reads_agree: bool = True
    """A step of several pages is read until two whole reads of it are equal."""
    cursor_followed_to_the_end: bool = True
    """An empty page that names another one is no end."""
    full_page_is_cut: bool = True
    """Where there is no second page, a full one may not have all the rows."""
    parts_hold_the_full_pages: bool = True
    """Each row of a full page is found again in the parts that it was split into."""
    unseen_values: bool = True
    """The oldest and the newest page of an instant meet, so that no value can hide between them."""
    second_read_before_versions_end: bool = True
    """Flows are restated or withdrawn after further reads that say the same."""
    stale_read_refused: bool = True
    """What somebody else has proven since a read began is not replaced by it."""
    rows_outside_the_slice_refused: bool = True
    """A row of another time than was asked for means that the answer is to something else."""
    retention_guard: bool = True
    """What the provider forgot, or is about to forget, is not withdrawn."""
    unreadable_rows_are_kept: bool = True
    """A row that cannot be read stands in quarantine."""
    failures_leave_gaps: bool = True
    """A range that could not be proven is said to be open, and its sync to be incomplete."""
    newest_wait_until_settled: bool = True
    """What is not published yet, or may still be on its way, is not proven yet."""
    newest_part_again: bool = True
    """Each sync reads the newest part again, for rows that came late or changed."""
    older_parts_again: bool = True
    """Older parts are read again too, more rarely."""


PROOFS = Proofs()
"""What a sync goes by. Each is looked at only where leaving it out would change something: so it can be counted."""
