from .events import JsonEvents
from .filling import (
    best_document,
    checked_document,
    estimate_document,
    listing_document,
    refused_file,
    result_document,
    space_document,
    status_document,
    valid_file,
)
from .output import print_document
from .shapes import DOCUMENTS, EVENTS, FORMAT, CheckedFile

__all__ = [
    "DOCUMENTS",
    "EVENTS",
    "FORMAT",
    "CheckedFile",
    "JsonEvents",
    "best_document",
    "checked_document",
    "estimate_document",
    "listing_document",
    "print_document",
    "refused_file",
    "result_document",
    "space_document",
    "status_document",
    "valid_file",
]
