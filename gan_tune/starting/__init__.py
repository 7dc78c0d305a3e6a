"""From a data set to a space file: what was seen in the data, and what is proposed for them."""
