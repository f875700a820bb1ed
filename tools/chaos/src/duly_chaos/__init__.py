"""Makes scoring fail in every way that is known, and compares what is left with the pure fold.

`ledger_log` writes the seeded log, `worker` runs real processes, `faulty` is their entry point with a fault built in,
`broker` reads and mends topics, `checker` compares, `campaign` is one seed; `python -m duly_chaos` runs many.
"""
