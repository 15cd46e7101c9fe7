"""Images in, predictions table out: the only floor that knows torch.

Importing this package, `dl.images`, `dl.geometry`, `dl.fingerprint`, `dl.errors` or `dl.config`
loads no torch.
"""
