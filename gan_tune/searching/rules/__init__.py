"""Rules of a search, independent of Ray: stopping, confirmation, replicates, the champion."""
