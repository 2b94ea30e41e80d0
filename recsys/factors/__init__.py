"""Matrix factorisation of who visited what, kept up to date with every visit: implicit ALS with features."""
