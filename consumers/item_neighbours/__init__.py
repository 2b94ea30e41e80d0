"""The stage that publishes, for each product, what is viewed next and what is bought together."""
