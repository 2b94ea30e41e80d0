"""Image features: fetch a product's picture, clean it, and turn it into the encoder's unit vector."""
