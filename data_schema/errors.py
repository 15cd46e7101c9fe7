"""The root of the error tree: what a study's tables can get wrong.

The ground floor raises these; `usstats.errors` re-exports them and lets the tree grow.
"""


class UsstatsError(ValueError):
    """Something in the user's input cannot be computed with; the message says what to do."""


class SchemaError(UsstatsError):
    """A table or a study file does not have the columns, types, units or ranges it must have."""
