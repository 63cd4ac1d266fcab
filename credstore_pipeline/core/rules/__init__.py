"""Row rules: which extracted rows the target can hold, what is repaired, what is refused and why.

Pure functions over Arrow tables: no database, no files, and no opened password. The stored password column is
never read here either; validation takes the sealed one from the judging.
"""

from credstore_pipeline.core.rules.associations import validate_associations
from credstore_pipeline.core.rules.credentials import validate_credentials
from credstore_pipeline.core.rules.tags import validate_tags
from credstore_pipeline.core.rules.verdict import TargetView, Verdict
from credstore_pipeline.core.rules.withdraw import refollow, withdraw

__all__ = [
    "TargetView",
    "Verdict",
    "refollow",
    "validate_associations",
    "validate_credentials",
    "validate_tags",
    "withdraw",
]
