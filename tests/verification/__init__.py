"""Which R value, law or simulation stands behind each public function: docs/verification.md.

`python -m tests.verification` runs the tests that read a reference case, joins what they compared
with `functions.yaml`, and writes the page.
"""
