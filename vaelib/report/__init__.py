"""What a page says: which run it shows, what that run found, and what follows for the paper's claims.

The objects returned here show as HTML or Markdown in a page and as plain text in a terminal.
"""

from vaelib.report.findings import Finding, captioned, compare, finding, listed, reading
from vaelib.report.parameters import ParameterError, check_parameters
from vaelib.report.provenance import axes, class_name, conclusive, notice, numbers, opening, provenance, title
from vaelib.report.verdicts import above, agreement, below, equal, every_seed, exact, interval, near, summary, verdicts

__all__ = [
    "Finding",
    "ParameterError",
    "above",
    "agreement",
    "axes",
    "below",
    "captioned",
    "check_parameters",
    "class_name",
    "compare",
    "conclusive",
    "equal",
    "every_seed",
    "exact",
    "finding",
    "interval",
    "listed",
    "near",
    "notice",
    "numbers",
    "opening",
    "provenance",
    "reading",
    "summary",
    "title",
    "verdicts",
]
