from .beginnings import print_beginning, print_proposal
from .health import print_checks
from .learning import print_learnt
from .models import print_best, print_comparison, print_models, print_moved
from .next_steps import (
    print_how_to_continue,
    print_links,
    print_next_steps,
    print_own_links,
)
from .samples import drawing, print_pulled
from .searches import print_result, print_searches, print_status, print_synced
from .spaces import print_dimensions, print_estimate, print_shipped
from .training import print_reports

__all__ = [
    "drawing",
    "print_beginning",
    "print_best",
    "print_checks",
    "print_comparison",
    "print_dimensions",
    "print_estimate",
    "print_how_to_continue",
    "print_learnt",
    "print_links",
    "print_models",
    "print_moved",
    "print_next_steps",
    "print_own_links",
    "print_proposal",
    "print_pulled",
    "print_reports",
    "print_result",
    "print_searches",
    "print_shipped",
    "print_status",
    "print_synced",
]
