"""The stage that learns matrix-factorisation vectors of products from all shoppers' histories."""
