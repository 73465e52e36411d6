"""The sync: reads the ranges that are due from a provider, proves that no row is missing, and commits the rows.

One sync of one account goes through these modules, in this order:

1. `plan` says which ranges are due: what was never proven, the newest part again, and older parts now and then.
2. `slicer` takes slices from those ranges, each of about as many rows as one page of the provider holds.
3. `fetch` reads all rows of a slice, and proves from the way the provider pages that it has them all: `paged_fetcher`
   with page numbers and cursors, `range_fetcher` with ranges only. Both ask by `question`, which detects answers that
   were cut. Calls go through `caller`, which keeps the rate of the credential and repeats calls that may yet succeed.
4. `committer` proves that the rows are of that slice, reads it again before it ends versions of known flows, and
   commits it in one transaction. What cannot be proven becomes an open gap, with the reason.

`pipeline` runs these steps, and reads the next slices while earlier ones are committed. `runner` syncs many accounts at
the same time, and `scheduler` syncs each account when it is due. A sync reports what happens as `events`, which
`sync_observers` turns into log lines, metrics and the progress in the ledger. `options` has the settings for users.
"""
