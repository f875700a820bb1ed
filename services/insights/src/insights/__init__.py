"""Read models: timeline, aging and open balance."""
