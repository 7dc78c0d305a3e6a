"""The search: the only floor that imports ray and optuna."""
