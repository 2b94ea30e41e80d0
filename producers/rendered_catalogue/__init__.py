"""A demo shop's catalogue, drawn: products whose shapes, colours and patterns a person tells apart."""

from producers.rendered_catalogue.rendering import DrawnProduct, planned_products, render_catalogue

__all__ = ["DrawnProduct", "planned_products", "render_catalogue"]
