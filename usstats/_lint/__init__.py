"""The rules of methods as checks: what each mistake looks like in tables, settings and results."""
