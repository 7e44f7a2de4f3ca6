"""What both halves speak. Knows nobody: neither agent nor collector is imported here."""
