# SPDX-License-Identifier: LGPL-2.1-or-later
# SPDX-FileCopyrightText: The pmemd authors
"""What tests of pmemctl share: documents checked against the JSON contract, and how a run succeeds or is refused."""

import json
import os
import unittest

import jsonschema

_SCHEMA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "proto", "pmemctl.schema.json")

with open(_SCHEMA, encoding="utf-8") as f:
    VALIDATOR = jsonschema.Draft7Validator(json.load(f))


def valid(text):
    """The document in the text; it keeps the contract."""
    document = json.loads(text)
    VALIDATOR.validate(document)
    return document


class CtlCase(unittest.TestCase):
    """`host` (harness.Host) is what pmemctl talks to; the subclass makes it."""

    host = None

    def text(self, *arguments, **options):
        """What a successful run prints."""
        result = self.host.ctl(*arguments, **options)
        self.assertEqual((result.status, result.err), (0, ""), result)
        return result.out

    def json(self, *arguments, **options):
        """The document that a successful run prints."""
        return valid(self.text("--json", *arguments, **options))

    def refused(self, name, *arguments, **options):
        """A run that fails with this error; its message."""
        result = self.host.ctl("--json", *arguments, **options)
        self.assertEqual((result.status, result.out), (1, ""), result)
        error = valid(result.err)["error"]
        self.assertEqual(error["name"], name, result)
        return error["message"]
