"""The conformance checks: a registry, and one chapter a module."""
