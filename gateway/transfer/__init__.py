"""One transfer for a person: through a tunnel, checked, as a zone file, as messages, or as what was found out."""
