"""Ray: joining a cluster, or starting Ray on this machine."""
