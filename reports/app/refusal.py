"""What the app says when it will not do something."""

from __future__ import annotations

from usstats.errors import UsstatsError

__all__ = ["RefusedError"]


class RefusedError(UsstatsError):
    """A request that is not answered, with the HTTP status and a sentence for the person.

    Parameters
    ----------
    status : int
    message : str
        Never holds anything the request said.

    Examples
    --------
    >>> RefusedError(413, "The file is too large.").content
    {'error': {'status': 413, 'message': 'The file is too large.'}}
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message

    @property
    def content(self) -> dict[str, object]:
        """As the page receives it."""
        return {"error": {"status": self.status, "message": self.message}}
