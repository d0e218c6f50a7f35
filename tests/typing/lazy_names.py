"""Names that are imported late are checked like others: what is ignored here has to be an error."""

from __future__ import annotations

from typing import assert_type

import resilient_sse
from resilient_sse import cursors, testing

assert_type(resilient_sse.__version__, str)
assert_type(testing.event("x"), bytes)

# pyright: reportAttributeAccessIssue=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false
NOTHING = (
    resilient_sse.Nothing,  # type: ignore[attr-defined]
    cursors.Nothing,  # type: ignore[attr-defined]
    testing.Nothing,  # type: ignore[attr-defined]
)
