"""From labels to a better model: data sets, splits, recipes, training, evaluation."""
