"""Similar products: each product's nearest neighbours by what its picture shows."""
