from .json_output import print_json
from .models import print_best, print_models
from .next_steps import print_address, print_how_to_continue, print_next_steps
from .searches import print_result, print_searches, print_status
from .spaces import print_dimensions, print_estimate, print_shipped
from .training import print_reports

__all__ = [
    "print_address",
    "print_best",
    "print_dimensions",
    "print_estimate",
    "print_how_to_continue",
    "print_json",
    "print_models",
    "print_next_steps",
    "print_reports",
    "print_result",
    "print_searches",
    "print_shipped",
    "print_status",
]
