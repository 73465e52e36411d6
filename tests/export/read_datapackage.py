"""A program that validates data packages with Frictionless. Prints the errors and numbers of rows of each as JSON."""

import json
import sys
from importlib import import_module
from typing import Any

frictionless: Any = import_module("frictionless")


def validated(path: str) -> dict[str, object]:
    report = frictionless.validate(path)
    errors = [error.message for task in report.tasks for error in task.errors]
    return {"valid": report.valid, "errors": errors, "rows": [task.stats.get("rows") for task in report.tasks]}


json.dump([validated(path) for path in sys.argv[1:]], sys.stdout)
