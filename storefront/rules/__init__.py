"""What a merchandiser decides about shelves: pin, boost, bury, hide, and categories that do not go together."""
