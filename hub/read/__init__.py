"""What people and scripts read of the hub; nothing here changes a record."""
