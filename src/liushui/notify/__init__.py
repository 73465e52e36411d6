"""Notifications: who is told about what needs attention, by signed webhooks, e-mail and ntfy."""
