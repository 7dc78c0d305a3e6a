"""The Optuna study of a search: what is proposed, told and learnt."""
