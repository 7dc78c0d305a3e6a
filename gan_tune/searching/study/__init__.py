"""The Optuna study of a search: proposals, reports, results, and analyses of them."""
