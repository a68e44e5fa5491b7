"""A JSON Schema of the bodies of `POST /service-availability/...`, written from the domain's facts.

Stricter than the published text where the stand-in of the programme is: no hyphen in a reason, and
`submission_id` null for null submissions and only for those.
"""

from __future__ import annotations

from typing import Any

UUID4 = {
    "type": "string",
    "pattern": "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$",
}
GUID = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
INSTANT = {
    "type": "string",
    "pattern": r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?Z$",
}

UNAVAILABILITY = {
    "type": "object",
    "additionalProperties": False,
    "required": ["start_date_ts", "end_date_ts", "unavail_scheduled", "unavail_reason"],
    "properties": {
        "start_date_ts": INSTANT,
        "end_date_ts": INSTANT,
        "unavail_scheduled": {"type": "boolean"},
        "unavail_reason": {
            "type": "string",
            "minLength": 1,
            "maxLength": 255,
            "pattern": r"^[A-Za-z0-9_ .]+\Z",
        },
    },
}

BY_GUID = {
    "type": "object",
    "minProperties": 1,
    "additionalProperties": False,
    "patternProperties": {
        GUID: {"type": "array", "minItems": 1, "maxItems": 100, "items": UNAVAILABILITY}
    },
}

NULL_SUBMISSION = {
    "properties": {
        "submission_reason": {"const": "null submission"},
        "submission_id": {"type": "null"},
        "items": {"items": {"type": "string", "pattern": GUID}},
    }
}
FULL_SUBMISSION = {
    "properties": {
        "submission_reason": {"enum": ["initial submission", "resubmission"]},
        "submission_id": UUID4,
        "items": {"items": BY_GUID},
    }
}

BODY: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "additionalProperties": False,
    "required": [
        "record_id",
        "submission_id",
        "submission_reason",
        "submission_status",
        "reporting_period_start",
        "items",
    ],
    "properties": {
        "record_id": UUID4,
        "submission_id": True,
        "submission_reason": True,
        "submission_status": {"enum": ["on time", "late", "correction"]},
        "reporting_period_start": INSTANT,
        "items": {"type": "array", "minItems": 1, "maxItems": 667},
    },
    "oneOf": [NULL_SUBMISSION, FULL_SUBMISSION],
}
