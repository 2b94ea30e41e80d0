"""The stage that publishes what is popular and what is trending, in the whole shop and by category."""
