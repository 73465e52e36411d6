"""What liushui is measured against, each as good as it can be made without becoming liushui."""
