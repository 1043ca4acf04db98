"""The Debian archive of this machine."""
import re
from pathlib import Path


def mirror():
    """Returns the archive's address as apt has it, or None."""
    for path in "/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list":
        text = Path(path).read_text() if Path(path).exists() else ""
        if match := re.search(r"^(?:URIs: *|deb (?:\[[^]]*\] *)?)(http\S+)", text, re.M):
            return match[1]
    return None
