"""Whether the model that serves still fits the debtors it scores; measures only, nothing here retrains or promotes."""
