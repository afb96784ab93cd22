"""The conformance checks: a registry, one chapter a module, and what they share. What runs them is verify."""
