"""Checks a running homeserver against the OpenAPI files of the Matrix specification; see `__main__`."""
