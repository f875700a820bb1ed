"""The daily hazard model on a native XGBoost Booster; see `model.BoosterHazards`."""
