# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""What in a kernel's log tells of a fault of its own. Any such line fails a case, in the guest and once more on the host, by the
console: there also of a boot that was cut off."""

import re

PATTERN = re.compile(r"BUG: |Oops|WARNING: |general protection fault|Kernel panic|KASAN|UBSAN")
# Those that are known and none of pmemd's: {part of the line: why}.
KNOWN = {}


def kernel_faults(text):
    """The lines that tell of one, but for those that are known."""
    return [line for line in text.splitlines() if PATTERN.search(line) and not any(part in line for part in KNOWN)]
