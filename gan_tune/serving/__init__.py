"""A registered generator over HTTP: requests are drawn together, a new champion is picked up."""
