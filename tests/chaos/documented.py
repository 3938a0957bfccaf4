"""The closed list of errors that trouble may cause: the table in docs/errors.md, read from there."""

import re
from dataclasses import dataclass

from tests.support.engine import ROOT

DOCUMENT = ROOT / "docs" / "errors.md"

# How Arrow's client names the codes of gRPC.
CODES = {
    "unavailable": "UNAVAILABLE",
    "timed out": "DEADLINE_EXCEEDED",
    "timeout": "DEADLINE_EXCEEDED",
    "deadline exceeded": "DEADLINE_EXCEEDED",
    "cancelled": "CANCELLED",
    "internal": "INTERNAL",
    "unauthenticated": "UNAUTHENTICATED",
    "unauthorized": "PERMISSION_DENIED",
    "aborted": "ABORTED",
    "resource exhausted": "RESOURCE_EXHAUSTED",
    "failed precondition": "FAILED_PRECONDITION",
    "invalid argument": "INVALID_ARGUMENT",
    "not found": "NOT_FOUND",
}


@dataclass(frozen=True)
class Documented:
    code: str
    text: str

    def covers(self, code: str, message: str) -> bool:
        # An ellipsis stands for what differs from case to case.
        parts = [re.escape(part.strip()) for part in self.text.split("…")]
        return code == self.code and re.search(".*".join(parts), message, re.DOTALL) is not None


def documented() -> list[Documented]:
    rows = re.findall(r"^\| `([A-Z_]+)` \| `([^`]+)` \|", DOCUMENT.read_text(), re.MULTILINE)
    assert rows, f"{DOCUMENT} has no table"
    return [Documented(code, text) for code, text in rows]


def code_of(error: Exception) -> str:
    """The gRPC code behind an error of pyarrow's."""
    said = re.search(r"(?:Flight|gRPC) returned ([a-z -]+?)(?: error)?, with message", str(error))
    if said:
        return CODES.get(said.group(1).replace("-", " "), said.group(1))
    kind = type(error).__name__
    return {"FlightUnavailableError": "UNAVAILABLE", "FlightTimedOutError": "DEADLINE_EXCEEDED",
            "FlightCancelledError": "CANCELLED", "FlightInternalError": "INTERNAL",
            "FlightUnauthenticatedError": "UNAUTHENTICATED", "FlightUnauthorizedError": "PERMISSION_DENIED",
            "ArrowInvalid": "INVALID_ARGUMENT", "ArrowKeyError": "NOT_FOUND",
            "ArrowNotImplementedError": "UNIMPLEMENTED", "ArrowCancelled": "CANCELLED"}.get(kind, kind)


class ErrorList:
    def __init__(self) -> None:
        self.entries = documented()

    def entry(self, error: Exception) -> Documented | None:
        """The entry that the error belongs to; None when nobody has been told of such an error."""
        code = code_of(error)
        return next((entry for entry in self.entries if entry.covers(code, str(error))), None)
