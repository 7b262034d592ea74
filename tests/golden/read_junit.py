"""Reads a JUnit file with two independent readers and prints what each counts: python3 read_junit.py FILE SCHEMA."""
import json
import sys
import xml.etree.ElementTree as tree

import junitparser
import xmlschema

file, schema = sys.argv[1:]
xmlschema.XMLSchema(schema).validate(file)
cases = list(tree.parse(file).iter("testcase"))
by_schema = {name: sum(case.find(element) is not None for case in cases)
             for name, element in [("failures", "failure"), ("skipped", "skipped"), ("errors", "error")]}
by_schema["tests"] = len(cases)

report = junitparser.JUnitXml.fromfile(file)
told = {name: getattr(report, name) for name in ("tests", "failures", "skipped", "errors")}
outcomes = [outcome for suite in report for case in suite for outcome in case.result]
found = {"tests": sum(1 for suite in report for _ in suite)}
for name, kind in [("failures", junitparser.Failure), ("skipped", junitparser.Skipped), ("errors", junitparser.Error)]:
    found[name] = sum(isinstance(outcome, kind) for outcome in outcomes)
reasons = [outcome.message == outcome.text for outcome in outcomes if isinstance(outcome, junitparser.Skipped)]
print(json.dumps({"schema": by_schema, "told": told, "found": found, "reasons_are_in_both": all(reasons)}))
