"""Use cases: receive a delivery, map it to facts, record facts, advance the business date."""
