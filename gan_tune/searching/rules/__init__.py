"""Rules of a search, free of Ray: stopping, confirmation, replicates, the champion."""
