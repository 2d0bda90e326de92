"""What people decide about cells: an append-only journal, the state it folds to, backups and exchange."""
