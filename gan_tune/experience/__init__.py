"""What searches have taught: settings that did well on other data, and how they fit a new space."""
