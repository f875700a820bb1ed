"""Keeps one risk state per debtor and scores it with every fact."""
