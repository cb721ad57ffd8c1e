"""What the processes show of themselves: metrics (all names in ``metrics``), health over HTTP, structured logs."""
