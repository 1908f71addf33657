"""Pages and numbers for people: the model card, the drift summary, what `dvc plots` reads."""
