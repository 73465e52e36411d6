"""The peers of liushui, each as good as it can be made without becoming liushui."""
