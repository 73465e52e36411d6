"""The notifier: it looks for alarms, creates messages, and sends the messages that are due, until it is stopped."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Final

from liushui.errors import LedgerError, LiushuiError
from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.notifications import (
    Notification,
    Rule,
    State,
    active_rules,
    claim_notifications,
    delete_sent,
    has_due,
    has_rules,
    record_alarms,
    settle,
)
from liushui.ledger.jobs.workers import new_holder, release_lease, take_lease
from liushui.ledger.read.model import ReadModel
from liushui.ledger.read.status import read_alarms
from liushui.notify.channels import DeliveryError, Sender, sender_of
from liushui.providers import ProviderRules
from liushui.sync.events import Event, SyncEnded

LOOK_INTERVAL_S: Final = 30
"""The time between two checks for alarms. The end of a sync triggers a check as well."""
SEND_INTERVAL_S: Final = 5
"""The time between two checks for messages that are due."""
AT_ONCE: Final = 8
"""The number of messages that are sent at the same time, so that one slow receiver does not delay the others."""

LEASE: Final = ":notifications"
"""The lease of the process that looks for alarms. Account names contain no colon, so the names cannot clash."""
LEASE_LIFE: Final = timedelta(minutes=2)

SenderOf = Callable[[Rule], Sender]


class Notifier:
    """Makes and sends notifications, in a thread from the beginning of the context to its end.

    Only one process looks for alarms at a time, but all of them send. `warn` gets each problem, but the same sentence
    only once in a row.
    """

    def __init__(self, ledger: Ledger, warn: Callable[[str], None], senders: SenderOf = sender_of) -> None:
        self._ledger, self._warn, self._senders = ledger, warn, senders
        self._model = ReadModel(ledger, ProviderRules())
        self._holder = new_holder()
        self._has_lease = False
        self._last_warning = ""
        self._stopped, self._woken = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="notifier", daemon=True)

    def __enter__(self) -> "Notifier":
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stopped.set()
        self._woken.set()
        self._thread.join()

    def wake(self) -> None:
        """Look for alarms soon, because something has changed."""
        self._woken.set()

    def observe(self, event: Event) -> None:
        """Look for alarms when a sync has ended: an observer of a sync."""
        if isinstance(event, SyncEnded):
            self.wake()

    def _run(self) -> None:
        ticks = 0
        try:
            while not self._stopped.is_set():
                is_woken = self._woken.is_set()
                self._woken.clear()
                if is_woken or ticks % (LOOK_INTERVAL_S // SEND_INTERVAL_S) == 0:
                    self._attempt(self.look)
                self._attempt(self.send_due)
                ticks += 1
                self._woken.wait(SEND_INTERVAL_S)
        finally:
            self._attempt(self._release)

    def _attempt(self, action: Callable[[], object]) -> None:
        """Perform an action. If the ledger cannot be used now, it is tried again soon."""
        try:
            action()
        except Exception as error:  # any exception is caught: a thread that has ended could not notify anybody
            text = str(error) if isinstance(error, LiushuiError) else f"{type(error).__name__}: {error}"
            if text != self._last_warning:
                self._last_warning = text
                self._warn(f"notifications: {text}")

    def look(self) -> int:
        """Create the messages of new alarms, and return their number. If another process is doing it, there are
        none."""
        if not has_rules(self._ledger):
            return 0
        lease = take_lease(self._ledger, LEASE, self._holder, LEASE_LIFE)
        self._has_lease = lease.holder == self._holder
        if not self._has_lease:
            return 0
        made = record_alarms(self._ledger, active_rules(self._ledger), read_alarms(self._model))
        delete_sent(self._ledger)
        return made

    def send_due(self) -> int:
        """Send the messages that are due. Returns how many were sent."""
        sent = 0
        while not self._stopped.is_set() and has_due(self._ledger):
            rules = {rule.name: rule for rule in active_rules(self._ledger)}
            claimed = claim_notifications(self._ledger, AT_ONCE)
            if not claimed:  # another process was faster
                break
            wanted = [rules.get(notification.rule) for notification in claimed]
            with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="notification") as pool:
                states = list(pool.map(self._send, claimed, wanted))
            sent += states.count(State.SENT)
        return sent

    def _send(self, notification: Notification, rule: Rule | None) -> State:
        """Make one attempt, and store how it ended."""
        error, wait, is_final = "", timedelta(0), False
        if rule is None:  # the rule was removed just now, or its creator's token has expired
            error, is_final = "its rule has ended", True
        else:
            try:
                self._senders(rule).send(notification.id, notification.message, self._ledger.clock())
            except DeliveryError as failure:
                error, wait, is_final = str(failure), failure.wait, failure.is_final
            except Exception as failure:  # a defect of a sender must not keep the message claimed forever
                error = f"{type(failure).__name__}: {failure}"
        try:
            state = settle(self._ledger, notification, error, wait=wait, is_final=is_final)
        except LedgerError as failure:
            self._warn(f"notifications: {notification.id} may be sent again: {failure}")
            return State.PENDING
        if state is State.DEAD:
            self._warn(f"notifications: {notification.id} to {notification.rule} is given up: {error}")
        return state

    def _release(self) -> None:
        if self._has_lease:
            release_lease(self._ledger, LEASE, self._holder)
