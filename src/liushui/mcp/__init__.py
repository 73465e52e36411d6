"""A read-only server of the Model Context Protocol, over liushui's own API and with the rights of one token."""
