"""Code that the providers share: HTTP calls, decoding of rows, time ranges, errors. Nothing here names a provider."""
