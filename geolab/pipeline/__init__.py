"""Pipelines: notebooks x grid cells x dates, planned whole, run on an engine, resumed by the ledger."""
