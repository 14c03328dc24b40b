"""One file per published annotation layout; each is named as an entry point of the group `deepsport.sources`."""
