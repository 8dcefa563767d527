"""What an executed chapter found: the outcomes of its findings and verdicts, read from its outputs' metadata."""

import re
from typing import NamedTuple

from tools.chapters import KEY, BookError

# Words that no sentence holds unless a number or a name was missing when it was made.
UNFINISHED = re.compile(r"\b(nan|inf|None)\b|\{[^{}]*:\.?\d*[%fdg]\}")


class Outcomes(NamedTuple):
    """Outcome of each finding and verdict, by its name; None where there is none. `unfinished`: bad texts."""

    findings: dict[str, object]
    verdicts: dict[str, str | None]
    unfinished: list[str]


def outcomes(notebook: dict) -> Outcomes:
    """Read from a notebook as `tools.chapters.read_notebook` gives it.

    Raises
    ------
    BookError
        If two findings, or two verdicts, of a page have one name.
    """
    findings: dict[str, object] = {}
    verdicts: dict[str, str | None] = {}
    unfinished = []
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            said = output.get("metadata", {}).get(KEY, {})
            for known, here in ((findings, said.get("findings", {})), (verdicts, said.get("verdicts", {}))):
                if twice := set(known) & set(here):
                    raise BookError(f"a page says twice: {', '.join(sorted(twice))}")
                known.update(here)
            if "findings" in said or "verdicts" in said:
                text = "".join(output["data"].get("text/plain", ""))
                if UNFINISHED.search(text):
                    unfinished.append(text)
    return Outcomes(findings, verdicts, unfinished)
