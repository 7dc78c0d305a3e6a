"""Ray: joining a cluster, handing over to one, or starting Ray on this machine."""
