"""Notifications about problems that need attention, by signed webhooks, e-mail and ntfy."""
