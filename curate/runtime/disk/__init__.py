"""Files of any kind: replaced atomically, named so that they fit, claimed by one process at a time."""
