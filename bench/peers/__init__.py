"""The peers of liushui, each as good as it can be without becoming liushui."""
