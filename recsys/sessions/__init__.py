"""Shoppers' recent sessions, and what shoppers like them did: incremental VMIS-kNN."""
